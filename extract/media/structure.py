"""Is a file of one piece, as far as its format's own structure tells, without decoding?"""

from pathlib import Path

from sadgr.extract.media.matroska import matroska_fault
from sadgr.extract.media.mp4 import mp4_fault

RIFF_FORMATS = frozenset({"wav", "avi"})
RIFF_SLACK_BYTES = 64
"""Some writers count a header or a padding byte that is not there."""
RIFF_SIZE_UNKNOWN = frozenset({0, 0xFFFFFFFF})
OGG_LONGEST_PAGE_BYTES = 65_307
OGG_END_OF_STREAM = 0x04


def structure_fault(path: Path, format_name: str) -> str:
    """Return what is broken or missing, in words; empty where nothing is known to be.

    Args:
        path: the file.
        format_name: FFmpeg's name of its format.
    """
    if format_name.startswith("mov,"):
        return mp4_fault(path)
    if format_name.startswith("matroska"):
        return matroska_fault(path)
    if format_name == "ogg" and not has_last_ogg_page(path):
        return "truncated: its last Ogg page is missing"
    size = path.stat().st_size
    if format_name in RIFF_FORMATS and (declared := riff_bytes(path)) > size + RIFF_SLACK_BYTES:
        return f"truncated: its header declares {declared} bytes, but the file has {size}"
    return ""


def riff_bytes(path: Path) -> int:
    """Return how long a RIFF file (WAV, AVI) declares itself to be; 0 where it does not."""
    with path.open("rb") as file:
        head = file.read(8)
    declared = int.from_bytes(head[4:8], "little")
    return 0 if head[:4] != b"RIFF" or declared in RIFF_SIZE_UNKNOWN else declared + 8


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
