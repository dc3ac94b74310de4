"""Is a Matroska or WebM file of one piece? Its elements are walked, one after the other, without their contents.

FFmpeg leaves out what it cannot parse, looks for the next cluster and says nothing, so that pictures and sound are
missing from the middle or the end. Damage within a block's content, or a cut exactly between two, leaves no trace here.

Reference: RFC 8794 (EBML), sections 4 to 6; RFC 9559 (Matroska), sections 5.1 and 10.
"""

import os
from pathlib import Path
from typing import BinaryIO

EBML_HEADER, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
IN_ANY = frozenset({0xEC, 0xBF})
"""Void, CRC-32."""
IN_CLUSTER = IN_ANY | {0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF}
"""Timestamp, SilentTracks, Position, PrevSize, SimpleBlock, BlockGroup, EncryptedBlock."""
IN_SEGMENT = IN_ANY | {CLUSTER, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1043A770, 0x1254C367, 0x1941A469}
"""SeekHead, Info, Tracks, Cues, Chapters, Tags, Attachments."""


def matroska_fault(path: Path) -> str:
    """Return where a Matroska file is broken, in words; empty where its elements follow one another to its end.

    Args:
        path: a file that starts as Matroska does.
    """
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        while file.tell() < end:
            at = file.tell()
            name, size = _element(file)
            stop = end if size is None else file.tell() + size
            if name not in {EBML_HEADER, SEGMENT, *IN_ANY}:
                return (
                    "" if at else "damaged at byte 0: it does not start as Matroska does"
                )  # what follows is no matter
            if stop > end:
                return _truncated(stop, end)
            if name == SEGMENT:
                fault = _segment_fault(file, stop)
                if fault:
                    return fault
            file.seek(stop)
    return ""


def _segment_fault(file: BinaryIO, end: int) -> str:
    """Walk the elements up to `end`; those of a cluster stand at the same level, since it may not state its size."""
    allowed = IN_SEGMENT
    while (at := file.tell()) < end:
        name, size = _element(file)
        if name is None or name not in allowed | IN_SEGMENT:
            return f"damaged or truncated at byte {at}: no element of Matroska stands there"
        allowed = allowed if name in IN_ANY else IN_CLUSTER if name in IN_CLUSTER | {CLUSTER} else IN_SEGMENT
        if name == CLUSTER:
            continue
        if size is None or file.tell() + size > end:
            return _truncated(None if size is None else file.tell() + size, end)
        file.seek(size, os.SEEK_CUR)
    return ""


def _truncated(stop: int | None, end: int) -> str:
    until = "beyond its end" if stop is None else f"up to byte {stop}"
    return f"truncated: an element reaches {until}, but the file has {end} bytes"


def _element(file: BinaryIO) -> tuple[int | None, int | None]:
    """Read an element's name and the size of its content; the name is None for what is none, an unknown size None."""
    name = _number(file, longest=4, keeps_marker=True)
    size = _number(file, longest=8, keeps_marker=False) if name is not None else None
    return name, size


def _number(file: BinaryIO, longest: int, keeps_marker: bool) -> int | None:
    """Read a number whose leading zero bits tell how many bytes follow; None where none stands, or all bits are set."""
    first = file.read(1)
    length = 9 - first[0].bit_length() if first else 9
    content = first + file.read(length - 1) if length <= longest else b""
    if len(content) != length:
        return None
    value = int.from_bytes(content, "big")
    bare = value & (1 << 7 * length) - 1
    if keeps_marker:
        return value
    return None if bare == (1 << 7 * length) - 1 else bare
