"""Opening media files, choosing their streams, and their time line.

Of several streams of a kind the one that carries the default disposition is chosen; where none or several carry it,
FFmpeg's best one (which goes by resolution or bit rate). `choice_text` says which.

Time line: t = 0 of a recording is the earliest start of its chosen streams (one of video, one of audio), and never
before time stamp 0: what carries a negative time stamp (encoder priming, the head that an edit list hides) is not meant
to be shown or heard, and is dropped.
"""

import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import ENOMEM
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from sadgr.extract.media.errors import MediaError, StreamAbsent
from sadgr.extract.media.structure import structure_fault

AnyStream = TypeVar("AnyStream", bound=Stream)

# FFmpeg draws any text file as a film of letters; a transcript is no recording.
TEXT_FORMATS = frozenset({"tty"})
# Containers that store when each packet is to be shown or heard; the others store packets one after the other.
STAMPED_FORMATS = ("mov,", "matroska", "mpegts")
# Containers whose headers describe each stream at length.
INDEXED_FORMATS = ("mov,", "matroska")


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
        if container.streams and all(
            isinstance(stream, AudioStream) and not stream.rate for stream in container.streams
        ):
            # FFmpeg takes some formats by the ending of the file's name alone
            raise MediaError(
                f"{path}: not a media file, or damaged beyond reading (its sound has 0 Hz); fetch it again"
            )
        try:
            yield container
        except av.FFmpegError as error:
            if error.errno == ENOMEM:
                raise MemoryError(f"{path}: memory ran out while it was decoded") from error
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
    """Return the video stream to read, or None; attached pictures (cover art) are none."""
    candidates = [stream for stream in container.streams.video if not is_attached_picture(stream)]
    return _default_or_best(candidates, container.streams.best("video"))


def find_audio(container: InputContainer) -> AudioStream | None:
    """Return the audio stream to read, or None."""
    return _default_or_best(list(container.streams.audio), container.streams.best("audio"))


def _default_or_best(candidates: Sequence[AnyStream], best: Stream | None) -> AnyStream | None:
    default = [stream for stream in candidates if is_default(stream)]
    if len(default) == 1:
        return default[0]
    return next((stream for stream in candidates if stream is best), next(iter(candidates), None))


def choice_text(container: InputContainer, stream: Stream | None) -> str:
    """Say which of several streams of a kind was chosen and why, such as "video stream 1 of 0 to 2 (the default)".

    They are numbered from 0 within their kind. Empty where there was no choice.
    """
    if stream is None:
        return ""
    rivals = [one for one in container.streams if one.type == stream.type and not is_attached_picture(one)]
    if len(rivals) < 2:
        return ""
    why = "the default" if sum(map(is_default, rivals)) == 1 else "FFmpeg's best"
    return f"{stream.type} stream {rivals.index(stream)} of 0 to {len(rivals) - 1} ({why})"


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the video stream to read.

    Raises:
        StreamAbsent: when the file has none; attached pictures do not count.
        MediaError: when the file is damaged, so that it may have had one.
    """
    stream = find_video(container)
    if stream is None:
        raise _absence(container, path, "video")
    # In slice threads FFmpeg patches damaged H.264 pictures up without marking them.
    stream.thread_type = "NONE"
    return stream


def audio_stream(container: InputContainer, path: Path) -> AudioStream:
    """Return the audio stream to read.

    Raises:
        StreamAbsent: when the file has none.
        MediaError: when the file is damaged, so that it may have had one.
    """
    stream = find_audio(container)
    if stream is None:
        raise _absence(container, path, "audio")
    return stream


def _absence(container: InputContainer, path: Path, kind: str) -> MediaError:
    """Return the error that says why there is no stream of a kind: the clip has none, or what it has is damaged."""
    name = container.format.name
    # FFmpeg leaves out a stream whose header is damaged.
    fault = structure_fault(path, name) if name.startswith(INDEXED_FORMATS) else ""
    if not fault and find_audio(container) is None and find_video(container) is None:
        fault = "damaged or no medium: it holds neither audio nor video"
    if fault:
        return MediaError(f"{path}: {fault}; fetch it again")
    return StreamAbsent(f"{path}: this file has no {kind} stream")


def stamps_packets(container: InputContainer) -> bool:
    """Tell whether a container stores the time of every packet, so that there can be gaps between them."""
    return container.format.name.startswith(STAMPED_FORMATS)


def is_default(stream: Stream) -> bool:
    """Tell whether a stream carries the default disposition."""
    return bool(stream.disposition & Disposition.default)


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
