"""Is a file whole? What was read is held against what the file's own headers declare.

Which declarations can be trusted differs by format: FFmpeg fits the duration of a cut WAV or AVI to the bytes that are
left, and guesses that of a bare MP3 from its bit rate. So each format is asked in its own way.
"""

from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.stream import Stream

from sadgr.extract.media.container import find_audio, find_video, open_media, origin_seconds, time_base_seconds
from sadgr.extract.media.errors import MediaError
from sadgr.extract.media.structure import has_mp3_length, structure_fault

SHORT_SECONDS = Fraction(1, 2)
SHORT_PART = Fraction(1, 20)
SHORT_IN_COUNTED_SECONDS = Fraction(1, 10)
"""Where samples are counted, only a codec's last frame can be in doubt."""
MICROSECOND = Fraction(1, 1_000_000)


def check_structure(path: Path, container: InputContainer) -> None:
    """Check that a file is of one piece, as far as its format's own structure tells.

    Args:
        path: the file.
        container: the same file, open; what it was read up to is checked where its index comes in parts.

    Raises:
        MediaError: when something is missing at its end, or its structure is broken.
    """
    fault = structure_fault(path, container.format.name)
    if not fault and container.format.name.startswith("mov,"):
        indexed, size = indexed_bytes(container), path.stat().st_size
        if indexed > size:
            fault = f"truncated: its index reaches up to byte {indexed}, but the file has {size} bytes"
    if fault:
        raise MediaError(f"{path}: {fault}; fetch it again")


def check_complete(path: Path, container: InputContainer, stream: Stream, end_seconds: Fraction) -> None:
    """Check that a stream that was read up to its last packet reached the end that its file declares.

    Args:
        path: the file.
        container: the same file, open, and read to its end.
        stream: the stream that was read.
        end_seconds: where its last packet ends, from the recording's origin.

    Raises:
        MediaError: when the file is not of one piece, or more is missing than rounding and uneven ends explain.
    """
    check_structure(path, container)
    declared = declared_end_seconds(path, container, stream)
    shortfall = SHORT_IN_COUNTED_SECONDS if is_counted(path, container) else SHORT_SECONDS
    if declared is None or not is_short(end_seconds, declared, shortfall):
        return
    if stream_end_seconds(stream) is None and not is_short(furthest_end_seconds(path), declared):
        return  # the container speaks for its longest stream, and that one is whole
    raise MediaError(
        f"{path}: truncated or damaged: its header declares {float(declared):.2f} s, but its {stream.type} ends at "
        f"{float(end_seconds):.2f} s; fetch it again"
    )


def is_short(end_seconds: Fraction, declared_seconds: Fraction, shortfall: Fraction = SHORT_SECONDS) -> bool:
    """Tell whether more is missing than rounding and uneven stream ends explain."""
    part = SHORT_PART if shortfall == SHORT_SECONDS else Fraction(0)
    return declared_seconds - end_seconds > max(shortfall, part * declared_seconds)


def is_counted(path: Path, container: InputContainer) -> bool:
    """Tell whether the declared length is a count of samples, rather than rounded or estimated."""
    name = container.format.name
    return name in {"flac", "ogg"} or (name == "mp3" and has_mp3_length(path))


def declared_end_seconds(path: Path, container: InputContainer, stream: Stream) -> Fraction | None:
    """Return the end that the headers declare, in seconds from the origin; None where they declare none."""
    if not container.format.name.startswith(("mov,", "matroska")) and not is_counted(path, container):
        return None
    absolute = stream_end_seconds(stream) or container_end_seconds(container)
    return None if absolute is None else absolute - origin_seconds(container)


def stream_end_seconds(stream: Stream) -> Fraction | None:
    """Return the end time stamp, in seconds, that the file declares for one stream."""
    # Matroska knows no duration of a stream; FFmpeg and mkvmerge leave it in a tag (hours:minutes:seconds). Where a
    # stream has a single frame FFmpeg gives it the container's.
    tag = next((value for key, value in stream.metadata.items() if key.startswith("DURATION")), None)
    if tag is not None:
        try:
            hours, minutes, seconds = (Fraction(part) for part in tag.split(":"))
        except ValueError:
            return None
        return hours * 3600 + minutes * 60 + seconds
    if stream.duration is None:
        return None
    return ((stream.start_time or 0) + stream.duration) * time_base_seconds(stream)


def container_end_seconds(container: InputContainer) -> Fraction | None:
    """Return the end time stamp, in seconds, that the file declares for its longest stream.

    Matroska's duration may or may not include a late start; the earlier end is taken.
    """
    return None if container.duration is None else container.duration * MICROSECOND


def furthest_end_seconds(path: Path) -> Fraction:
    """Return where the last packet of the chosen streams ends, in seconds from the origin, without decoding."""
    with open_media(path) as container:
        streams = [stream for stream in (find_video(container), find_audio(container)) if stream is not None]
        ends = [
            (packet.pts + (packet.duration or 0)) * packet.time_base
            for packet in container.demux(*streams)
            if packet.pts is not None
        ]
        return max(ends, default=Fraction(0)) - origin_seconds(container)


def indexed_bytes(container: InputContainer) -> int:
    """Return where the last packet ends that an mp4 file's index names; of a fragmented one, as far as it was read."""
    return max((entry.pos + entry.size for stream in container.streams for entry in stream.index_entries), default=0)
