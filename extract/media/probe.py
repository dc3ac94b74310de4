"""What a media file holds, told from its headers."""

import math
from dataclasses import dataclass
from pathlib import Path

from sadgr.extract.media.completeness import container_end_seconds, furthest_end_seconds, stream_end_seconds
from sadgr.extract.media.container import choice_text, find_audio, find_video, open_media, origin_seconds


@dataclass(frozen=True)
class MediaInfo:
    """What a media file says of itself.

    Attributes:
        duration_seconds: from the origin to the end of its longest stream, as declared; nothing is decoded, so that a
            truncated file may still declare its full length.
        has_video: whether it holds a film; cover art is none.
        has_audio: whether it holds sound.
        choice: which of several streams of a kind are read, and why; empty where there is no choice.
    """

    duration_seconds: float
    has_video: bool
    has_audio: bool
    choice: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.duration_seconds) or self.duration_seconds < 0:
            raise ValueError(f"duration_seconds must be finite and >= 0, not {self.duration_seconds}")


def probe(path: Path) -> MediaInfo:
    """Read a media file's headers; where they declare no duration, its packets are walked, without decoding.

    Args:
        path: a media file.

    Returns:
        What it holds; a readable file without any audio or video has a duration of 0.

    Raises:
        MediaError: when the file is missing or unreadable, or is no medium.
    """
    with open_media(path) as container:
        streams = [stream for stream in (find_video(container), find_audio(container)) if stream is not None]
        ends = [stream_end_seconds(stream) for stream in streams]
        declared = [end for end in [*ends, container_end_seconds(container)] if end is not None]
        end = max(declared) - origin_seconds(container) if declared else None
        choice = "; ".join(filter(None, (choice_text(container, stream) for stream in streams)))
        has_video, has_audio = find_video(container) is not None, find_audio(container) is not None
    if not streams:
        return MediaInfo(0.0, False, False)
    if end is None:
        end = furthest_end_seconds(path)
    return MediaInfo(max(0.0, float(end)), has_video, has_audio, choice)
