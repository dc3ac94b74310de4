"""Video frames through decord: quick where it is right, and used only where it was checked to be.

decord 0.6.0 finds a frame by counting from the key frame before it. So one frame that is not shown, or that cannot be
decoded after a seek, shifts all that follow, silently: in files cut without re-encoding (negative time stamps give them
away), with open groups of pictures, with periodic intra refresh; also in MPEG-TS and AVI. It patches damaged pictures up
and says nothing, so PyAV decodes them as well, for its marks of damage. Among several streams it makes its own choice.
"""

from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from sadgr.extract.media.container import media_url
from sadgr.extract.media.orientation import display_matrix, is_upright
from sadgr.extract.media.timeline import Timeline
from sadgr.extract.media.with_pyav import FrameMissed, decode_chosen, starts_at_keys

SAFE_CODECS = frozenset({"h264", "hevc", "mpeg4"})
SAFE_CONTAINERS = ("mov,", "matroska")
SAFE_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p"})


class DecordUnfit(Exception):
    """Why decord cannot be trusted with a file, in words."""


def check_fit(
    container: InputContainer, stream: VideoStream, path: Path, timeline: Timeline, stamps: NDArray[np.int64]
) -> tuple[int, int]:
    """Check that nothing known speaks against decord.

    Args:
        container: the file, just opened; its position is moved.
        stream: its video stream.
        path: the file's name, for messages.
        timeline: the stream's timeline.
        stamps: (m,) presentation time stamps of the chosen frames, increasing.

    Returns:
        Height and width of the pictures.

    Raises:
        DecordUnfit: with the reason.
        MediaError: when the pictures are damaged.
    """
    if len(container.streams.video) > 1:
        raise DecordUnfit("decord chooses among several video streams by itself")
    codec, pixel_format = stream.codec_context.name, stream.codec_context.pix_fmt
    if codec not in SAFE_CODECS:
        raise DecordUnfit(f"decord is not trusted with {codec}")
    if not container.format.name.startswith(SAFE_CONTAINERS):
        raise DecordUnfit(f"decord is not trusted with {container.format.name} files")
    if pixel_format not in SAFE_PIXEL_FORMATS:
        raise DecordUnfit(f"decord is not trusted with {pixel_format} pictures")
    if timeline.hidden_count > 0:
        raise DecordUnfit("some frames are not shown; decord would count them")
    if timeline.has_open_groups:
        raise DecordUnfit("its groups of pictures are open; decord would count wrongly")
    head = next(container.decode(stream), None)
    if head is None:
        raise DecordUnfit("no frame can be decoded")
    if not is_upright(display_matrix(head)):
        raise DecordUnfit("the pictures have to be turned")
    if not starts_at_keys(container, stream, timeline, stamps):
        raise DecordUnfit("its key frames cannot be decoded by themselves; decord would count wrongly")
    try:
        for _ in decode_chosen(container, stream, path, timeline, stamps):
            pass  # it raises where a picture is damaged
    except FrameMissed as missed:
        raise DecordUnfit(f"{missed}; decord would count wrongly") from missed
    return head.height, head.width


def pick_with_decord(
    path: Path, timeline: Timeline, chosen: NDArray[np.intp], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Decode chosen frames by their numbers, after holding decord's time stamps against the demuxed ones.

    Args:
        path: the file.
        timeline: its video stream's timeline.
        chosen: (m,) indices of the frames.
        size: height and width that the pictures must have.

    Returns:
        (m, H, W, 3) uint8 RGB.

    Raises:
        DecordUnfit: when decord is missing, fails, or disagrees with the timeline.
    """
    try:
        import decord
    except (ImportError, OSError) as error:
        raise DecordUnfit(f"decord cannot be imported ({error})") from error
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(media_url(path), num_threads=1)
        _check_times(np.asarray(reader.get_frame_timestamp(range(len(reader))))[:, 0], timeline, chosen)
        pixels: NDArray[np.uint8] = reader.get_batch(chosen.tolist()).asnumpy()
    except (decord.DECORDError, RuntimeError, UnicodeEncodeError) as error:
        raise DecordUnfit(f"decord failed ({str(error).splitlines()[0][:200]})") from error
    if pixels.shape[1:3] != size:
        raise DecordUnfit(f"decord gave pictures of (height, width) {pixels.shape[1:3]}, not {size}")
    return pixels


def _check_times(decord_seconds: NDArray[np.float32], timeline: Timeline, chosen: NDArray[np.intp]) -> None:
    if len(decord_seconds) != len(timeline.seconds):
        raise DecordUnfit(f"decord counts {len(decord_seconds)} frames, the packets {len(timeline.seconds)}")
    if decord_seconds.min() < 0:
        raise DecordUnfit("decord gives a negative time stamp: it would return wrong frames")
    # decord counts from the first frame, in single precision
    apart = (decord_seconds[chosen] - decord_seconds[0]) - (timeline.seconds[chosen] - timeline.seconds[0])
    shortest = np.diff(timeline.seconds, append=timeline.end_seconds).min()
    if np.abs(apart).max() > shortest / 2:
        raise DecordUnfit(f"decord's time stamps are {np.abs(apart).max():.3f} s off")
