"""Video frames through PyAV: any codec, any container."""

from collections.abc import Iterable, Iterator
from itertools import dropwhile
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from sadgr.extract.media.container import seconds_text, time_base_seconds
from sadgr.extract.media.errors import MediaError
from sadgr.extract.media.orientation import display_matrix, upright
from sadgr.extract.media.timeline import Timeline


class FrameMissed(Exception):
    """A frame that the packets announce did not come out of the decoder where it was looked for."""


def pick_by_stamp(
    container: InputContainer, stream: VideoStream, path: Path, timeline: Timeline, stamps: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Decode chosen frames, from the key frame before each on.

    Args:
        container: the open file.
        stream: its video stream.
        path: the file's name, for messages.
        timeline: the stream's timeline.
        stamps: (m,) presentation time stamps of the chosen frames, increasing.

    Returns:
        (m, H, W, 3) uint8 RGB, upright.

    Raises:
        FrameMissed: when a frame is not found after its key frame.
        MediaError: when the decoder reports damage, or the picture's size changes.
    """
    return _stack([to_rgb(frame) for frame in decode_chosen(container, stream, path, timeline, stamps)], path)


def decode_chosen(
    container: InputContainer, stream: VideoStream, path: Path, timeline: Timeline, stamps: NDArray[np.int64]
) -> Iterator[VideoFrame]:
    """Decode chosen frames one by one; Args, Raises: as `pick_by_stamp`."""
    key_of_stamp = np.searchsorted(timeline.key_stamps, stamps, side="right") - 1
    if key_of_stamp[0] < 0:
        raise FrameMissed("no key frame comes before the first chosen frame")
    for key in np.unique(key_of_stamp):
        _seek(container, stream, int(timeline.key_stamps[key]))
        frames = _checked(container, stream, path, first=int(timeline.key_stamps[key]))
        yield from _pick(((frame.pts, frame) for frame in frames), stamps[key_of_stamp == key])


def pick_by_number(
    container: InputContainer, stream: VideoStream, path: Path, numbers: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """Decode chosen frames of a file that has just been opened, counting what the decoder puts out.

    Args:
        container: the open file.
        stream: its video stream.
        path: the file's name, for messages.
        numbers: (m,) numbers of the frames, from 0, increasing.

    Returns, Raises: as `pick_by_stamp`.
    """
    frames = _pick(enumerate(_checked(container, stream, path, first=None)), numbers)
    return _stack([to_rgb(frame) for frame in frames], path)


def starts_at_keys(
    container: InputContainer, stream: VideoStream, timeline: Timeline, stamps: NDArray[np.int64]
) -> bool:
    """Tell whether decoding can start at the key frames before chosen frames.

    With periodic intra refresh it cannot: what is marked as a key frame is only where the picture begins to heal.
    """
    keys = np.unique(np.searchsorted(timeline.key_stamps, stamps, side="right") - 1)
    if len(timeline.key_stamps) == 0 or keys[0] < 0:
        return False
    for key in keys:
        try:
            _seek(container, stream, int(timeline.key_stamps[key]))
        except FrameMissed:
            return False
        head = next(container.decode(stream), None)
        if head is None or head.pts != timeline.key_stamps[key]:
            return False
    return True


def _seek(container: InputContainer, stream: VideoStream, stamp: int) -> None:
    try:
        container.seek(stamp, stream=stream)
    except av.FFmpegError as error:
        raise FrameMissed(f"the file cannot be sought in ({error.strerror})") from error


def _checked(container: InputContainer, stream: VideoStream, path: Path, first: int | None) -> Iterable[VideoFrame]:
    """Decode from where the container stands; frames before `first` are left out.

    They are what an open group of pictures shows before its key frame: after a seek their references are missing.
    """
    for frame in dropwhile(lambda frame: first is not None and (frame.pts or 0) < first, container.decode(stream)):
        if frame.is_corrupt:
            time = seconds_text(frame.pts, time_base_seconds(stream))
            raise MediaError(f"{path}: the video is damaged at {time}; fetch the file again")
        yield frame


def _pick(frames: Iterable[tuple[int | None, VideoFrame]], wanted: NDArray[np.integer]) -> Iterator[VideoFrame]:
    """Yield the frames whose labels are wanted; labels come in increasing order."""
    left = wanted.tolist()
    for label, frame in frames:
        if label is None or label > left[0]:
            break
        if label == left[0]:
            yield frame
            left.pop(0)
        if not left:
            return
    raise FrameMissed(f"frame {left[0]} was not decoded")


def to_rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """Return a frame's picture, upright, as (H, W, 3) uint8 RGB."""
    pixels = frame.to_ndarray(format="rgb24")
    return upright(np.asarray(pixels, dtype=np.uint8), display_matrix(frame))


def _stack(pictures: list[NDArray[np.uint8]], path: Path) -> NDArray[np.uint8]:
    sizes = {picture.shape[:2] for picture in pictures}
    if len(sizes) > 1:
        raise MediaError(f"{path}: the picture's (height, width) changes ({sorted(sizes)}); encode it at one size")
    return np.stack(pictures)
