"""Opening media files, choosing their streams, and their time line.

Time line: t = 0 of a recording is the earliest start of its chosen streams (FFmpeg's best video and best audio stream),
and never before time stamp 0: what carries a negative time stamp (encoder priming, the head that an edit list hides) is
not meant to be shown or heard, and is dropped.
"""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from sadgr.extract.media.errors import MediaError, StreamAbsent

# FFmpeg draws any text file as a film of letters; a transcript is no recording.
TEXT_FORMATS = frozenset({"tty"})
# Containers that store when each packet is to be shown or heard; the others store packets one after the other.
STAMPED_FORMATS = ("mov,", "matroska", "mpegts")


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading; whatever FFmpeg reports while it is open becomes a MediaError.

    Args:
        path: a local media file.

    Yields:
        The open container.

    Raises:
        MediaError: when the file is missing, a directory, empty, not readable, not a medium, or damaged.
    """
    check_readable(path)
    try:
        container = av.open(media_url(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise MediaError(
            f"{path}: not a media file, or damaged or truncated beyond reading ({error.strerror}); fetch it again"
        ) from error
    with container:
        if container.format.name in TEXT_FORMATS:
            raise MediaError(f"{path}: this is a text file; an audio or video file was expected")
        try:
            yield container
        except av.FFmpegError as error:
            raise MediaError(f"{path}: damaged or truncated ({error.strerror}); fetch it again") from error


def media_url(path: Path) -> str:
    """Return the path as FFmpeg takes it literally, whatever colons its name holds."""
    return f"file:{path}"


def check_readable(path: Path) -> None:
    """Check that there is a file with something in it to read.

    Raises:
        MediaError: naming the path and what it is instead.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise MediaError(f"{path}: this is not a file; an audio or video file was expected")
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file") from error
    except PermissionError as error:
        raise MediaError(f"{path}: no permission to read this file; change its mode or owner") from error
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror})") from error
    if is_empty:
        raise MediaError(f"{path}: the file is empty (0 bytes); fetch it again")


def find_video(container: InputContainer) -> VideoStream | None:
    """Return FFmpeg's best video stream, or the first that is no attached picture (cover art), or None."""
    best = container.streams.best("video")
    candidates = [stream for stream in container.streams.video if not is_attached_picture(stream)]
    return next((stream for stream in candidates if stream is best), next(iter(candidates), None))


def find_audio(container: InputContainer) -> AudioStream | None:
    """Return FFmpeg's best audio stream, or None."""
    best = container.streams.best("audio")
    return next((stream for stream in container.streams.audio if stream is best), None)


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream to read.

    Raises:
        StreamAbsent: when the file has none; attached pictures do not count.
    """
    stream = find_video(container)
    if stream is None:
        raise StreamAbsent(f"{path}: this file has no video stream")
    return stream


def audio_stream(container: InputContainer, path: Path) -> AudioStream:
    """Return the audio stream to read.

    Raises:
        StreamAbsent: when the file has none.
    """
    stream = find_audio(container)
    if stream is None:
        raise StreamAbsent(f"{path}: this file has no audio stream")
    return stream


def stamps_packets(container: InputContainer) -> bool:
    """Tell whether a container stores the time of every packet, so that there can be gaps between them."""
    return container.format.name.startswith(STAMPED_FORMATS)


def is_attached_picture(stream: Stream) -> bool:
    """Tell whether a video stream is cover art rather than a film."""
    return bool(stream.disposition & Disposition.attached_pic)


def time_base_seconds(stream: Stream) -> Fraction:
    """Return the unit of a stream's time stamps, in seconds."""
    if stream.time_base is None:
        raise MediaError(f"{stream.container.name}: stream {stream.index} states no time base; make the file anew")
    return stream.time_base


def origin_seconds(container: InputContainer) -> Fraction:
    """Return the time stamp, in seconds, that is t = 0 of the recording (see above)."""
    streams = [stream for stream in (find_video(container), find_audio(container)) if stream is not None]
    starts = [stream.start_time * time_base_seconds(stream) for stream in streams if stream.start_time is not None]
    return max(Fraction(0), min(starts, default=Fraction(0)))


def seconds_text(stamp: int | None, time_base: Fraction) -> str:
    """Return a time stamp as words for a message."""
    return "an unknown time" if stamp is None else f"time stamp {float(stamp * time_base):.2f} s"
