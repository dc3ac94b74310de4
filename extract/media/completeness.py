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

SHORT_SECONDS = Fraction(1, 2)
SHORT_PART = Fraction(1, 20)
MICROSECOND = Fraction(1, 1_000_000)
RIFF_SIZE_UNKNOWN = frozenset({0, 0xFFFFFFFF})
OGG_LONGEST_PAGE_BYTES = 65_307
OGG_END_OF_STREAM = 0x04


def check_complete(path: Path, container: InputContainer, stream: Stream, end_seconds: Fraction) -> None:
    """Check that a stream that was read up to its last packet reached the end that its file declares.

    Args:
        path: the file.
        container: the same file, open.
        stream: the stream that was read.
        end_seconds: where its last packet ends, from the recording's origin.

    Raises:
        MediaError: when more than max(0.5 s, 5 %) is missing, or an Ogg file lacks its last page.
    """
    if container.format.name == "ogg" and not has_last_ogg_page(path):
        raise MediaError(f"{path}: truncated: its last Ogg page is missing; fetch it again")
    declared = declared_end_seconds(path, container, stream, end_seconds)
    if declared is None or not is_short(end_seconds, declared):
        return
    if stream_end_seconds(stream) is None and not is_short(furthest_end_seconds(path), declared):
        return  # the container speaks for its longest stream, and that one is whole
    raise MediaError(
        f"{path}: truncated: its header declares {float(declared):.2f} s, but its {stream.type} ends at "
        f"{float(end_seconds):.2f} s; fetch it again"
    )


def is_short(end_seconds: Fraction, declared_seconds: Fraction) -> bool:
    """Tell whether more is missing than rounding and uneven stream ends explain."""
    return declared_seconds - end_seconds > max(SHORT_SECONDS, SHORT_PART * declared_seconds)


def declared_end_seconds(
    path: Path, container: InputContainer, stream: Stream, end_seconds: Fraction
) -> Fraction | None:
    """Return the end that the headers declare, in seconds from the origin; None where they declare none."""
    name = container.format.name
    if name in {"wav", "avi"}:
        return end_seconds * riff_growth(path)
    states_its_length = name.startswith(("mov,", "matroska")) or name == "flac"
    if states_its_length or (name == "mp3" and has_mp3_length(path)):
        absolute = stream_end_seconds(stream) or container_end_seconds(container)
        return None if absolute is None else absolute - origin_seconds(container)
    return None


def stream_end_seconds(stream: Stream) -> Fraction | None:
    """Return the end time stamp, in seconds, that the file declares for one stream."""
    if stream.duration is not None:
        return ((stream.start_time or 0) + stream.duration) * time_base_seconds(stream)
    # Matroska knows no duration of a stream; FFmpeg and mkvmerge leave it in a tag (hours:minutes:seconds).
    tag = next((value for key, value in stream.metadata.items() if key.startswith("DURATION")), None)
    if tag is None:
        return None
    try:
        hours, minutes, seconds = (Fraction(part) for part in tag.split(":"))
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


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


def riff_growth(path: Path) -> Fraction:
    """Return how many times longer a RIFF file (WAV, AVI) declares itself than it is; 1 where it is whole."""
    with path.open("rb") as file:
        head = file.read(8)
    declared = int.from_bytes(head[4:8], "little")
    if head[:4] != b"RIFF" or declared in RIFF_SIZE_UNKNOWN:
        return Fraction(1)
    return max(Fraction(1), Fraction(declared + 8, path.stat().st_size))


def has_mp3_length(path: Path) -> bool:
    """Tell whether an MP3 file's first frame states the number of frames (Xing, Info or VBRI header)."""
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3":  # the tag's size is written in four groups of seven bits
            size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            file.seek(10 + size)
            head = b""
        head += file.read(4096)
    return any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))


def has_last_ogg_page(path: Path) -> bool:
    """Tell whether the last page of an Ogg file is marked as the end of its stream (RFC 3533, section 6)."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - OGG_LONGEST_PAGE_BYTES))
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page >= 0 and len(tail) > page + 5 and bool(tail[page + 5] & OGG_END_OF_STREAM)
