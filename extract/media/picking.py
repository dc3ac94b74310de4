"""Chosen video frames out of an open file: any codec, any container; damage on the way to them is found."""

from collections.abc import Iterable, Iterator
from itertools import dropwhile
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
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
        container: the open file; it may stand anywhere.
        stream: its video stream.
        path: the file's name, for messages.
        timeline: the stream's timeline.
        stamps: (m,) presentation time stamps of the chosen frames, increasing.

    Returns:
        (m, H, W, 3) uint8 RGB, upright.

    Raises:
        FrameMissed: when a frame is not found after its key frame. With periodic intra refresh that is so where decoding
            starts in the middle: what is marked as a key frame is only where the picture begins to heal.
        MediaError: when the decoder reports damage, or the picture's size changes.
    """
    return _pictures(_decode_after_keys(container, stream, path, timeline, stamps), path)


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
    return _pictures(_pick(enumerate(_checked(container, stream, path, first=None)), numbers), path)


def _decode_after_keys(
    container: InputContainer, stream: VideoStream, path: Path, timeline: Timeline, stamps: NDArray[np.int64]
) -> Iterator[VideoFrame]:
    key_of_stamp = np.searchsorted(timeline.key_stamps, stamps, side="right") - 1
    if key_of_stamp[0] < 0:
        raise FrameMissed("no key frame comes before the first chosen frame")
    for key in np.unique(key_of_stamp):
        _seek(container, stream, int(timeline.key_stamps[key]))
        frames = _checked(container, stream, path, first=int(timeline.key_stamps[key]))
        yield from _pick(((frame.pts, frame) for frame in frames), stamps[key_of_stamp == key])


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


def _pictures(frames: Iterable[VideoFrame], path: Path) -> NDArray[np.uint8]:
    """Return frames' pictures, upright, as (m, H, W, 3) uint8 RGB.

    Raises:
        MediaError: when their sizes differ.
    """
    reformatter = VideoReformatter()  # each frame's own would make its tables, and threads, anew
    pictures = [_to_rgb(frame, reformatter) for frame in frames]
    sizes = {picture.shape[:2] for picture in pictures}
    if len(sizes) > 1:
        raise MediaError(f"{path}: the picture's (height, width) changes ({sorted(sizes)}); encode it at one size")
    return np.stack(pictures)


def _to_rgb(frame: VideoFrame, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    """Return a frame's picture, upright, as (H, W, 3) uint8 RGB."""
    pixels = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    return upright(np.asarray(pixels, dtype=np.uint8), display_matrix(frame))
