"""Is an mp4 or QuickTime file of one piece? Its boxes must follow one another to its end, those of its index must tile it.

Where a part of the index is damaged FFmpeg leaves that stream out, and a clip would seem to have no picture or sound.

Reference: ISO/IEC 14496-12 (ISO base media file format), section 4.2.
"""

import os
from pathlib import Path

HEADER_BYTES = 8
DEEPEST = 10
"""The boxes that are looked into lie five deep at most."""
INDEXES = frozenset({b"moov", b"moof"})
PARENTS = INDEXES | {b"trak", b"mdia", b"minf", b"stbl", b"traf", b"mvex"}


def mp4_fault(path: Path) -> str:
    """Return where an mp4 file is broken, in words; empty where it is of one piece.

    Args:
        path: a file that FFmpeg takes for one of this family.
    """
    at, has_index = 0, False
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        while at + HEADER_BYTES <= end:
            file.seek(at)
            head = file.read(2 * HEADER_BYTES)
            size, name = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:  # the size proper follows, in 8 bytes
                size = int.from_bytes(head[8:], "big")
            if not _is_name(name) or 0 < size < HEADER_BYTES:
                return "" if has_index else f"damaged at byte {at}: no box of an mp4 file stands there"
            stop = at + size if size else end
            if stop > end:
                return f"truncated: its {name.decode()} box reaches up to byte {stop}, but the file has {end} bytes"
            if name in INDEXES:
                has_index = True
                file.seek(at)
                fault = _index_fault(file.read(stop - at))
                if fault is not None:
                    return f"damaged: its index is broken at byte {at + fault}"
            at = stop
    return ""


def _index_fault(box: bytes, at: int = 0, stop: int | None = None, depth: int = 0) -> int | None:
    """Return where the boxes within box[at:stop] do not tile it; None where they do. A few zeros may end a box."""
    stop = len(box) if stop is None else stop
    size, name = int.from_bytes(box[at : at + 4], "big"), box[at + 4 : at + 8]
    if not _is_name(name) or size < HEADER_BYTES or at + size > stop or depth > DEEPEST:
        return at
    if name not in PARENTS:
        return None
    inside, end = at + HEADER_BYTES, at + size
    while inside + HEADER_BYTES <= end:
        fault = _index_fault(box, inside, end, depth + 1)
        if fault is not None:
            return fault
        inside += int.from_bytes(box[inside : inside + 4], "big")
    return None if not any(box[inside:end]) else inside


def _is_name(name: bytes) -> bool:
    """Tell whether four bytes can name a box: letters, digits and the like, or Apple's copyright sign."""
    return len(name) == 4 and all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in name)
