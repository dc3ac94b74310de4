"""All vectors of a large feature set in one file beside its shards, mapped rather than read.

Derived, like the index: made from the shards that it names, believed only while those are the folder's, and free to be
deleted. It begins with one line of JSON, then the ids as a JSON list, then, from a multiple of 4,096 bytes on, float16.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sadgr.cache.publish import replacing
from sadgr.cache.schema import Array

VERSION = 1
_ALIGNED = 4096
_STORED = np.dtype("<f2")


def save(folder: Path, name: str, shards: Sequence[str], ids: Sequence[str], vectors: Array) -> None:
    """Write it.

    Args:
        folder: the feature set's.
        name: of the vectors, `mean` or `mean_words`.
        shards: names of all shards that they come from.
        ids: (n,) clips.
        vectors: (n, D) float16.

    Raises:
        NotWritableError: the folder cannot be written.
    """
    listed = json.dumps(list(ids)).encode()
    header = {
        "version": VERSION,
        "shards": _digest("\n".join(shards).encode()),
        "ids": {"bytes": len(listed), "digest": _digest(listed)},
        "shape": vectors.shape,
        "sum": _sum(vectors),
    }
    first = json.dumps(header).encode() + b"\n"
    with replacing(folder / _file(name)) as file:
        file.write(first + listed)
        file.write(b"\0" * (-file.tell() % _ALIGNED))
        vectors.astype(_STORED, copy=False).tofile(file)


def load(folder: Path, name: str, shards: Sequence[str]) -> tuple[list[str], Array] | None:
    """Map it; None where there is none, or none of these shards that can be believed.

    Returns:
        Ids (n,), and vectors (n, D) float16, read-only.
    """
    path = folder / _file(name)
    try:
        with path.open("rb") as file:
            header = json.loads(file.readline())
            if header["version"] != VERSION or header["shards"] != _digest("\n".join(shards).encode()):
                return None
            listed = file.read(header["ids"]["bytes"])
            start = file.tell() + -file.tell() % _ALIGNED
            rows, width = header["shape"]
            vectors = np.memmap(file, _STORED, "r", start, (rows, width))
            ids = json.loads(listed)
        whole = _digest(listed) == header["ids"]["digest"] and len(ids) == rows and _sum(vectors) == header["sum"]
        return (ids, vectors) if whole else None
    except Exception:  # derived: whatever is wrong with it, the shards say the same
        return None


def _file(name: str) -> str:
    return f".vectors-{name}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sum(vectors: npt.NDArray[np.float16]) -> int:
    """Add all bits up, 64 at a time: any bit that flips is seen, at the speed of memory."""
    flat = vectors.reshape(-1).view(np.uint16)
    whole = len(flat) - len(flat) % 4
    return (int(flat[:whole].view(np.uint64).sum()) + int(flat[whole:].sum())) % 2**64
