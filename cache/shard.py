"""One shard: an immutable HDF5 file of clips of one feature set.

The first 512 bytes are an HDF5 user block in plain text (`head -c 512 shard.h5` shows it): format, feature set, length
and SHA-256 of all that follows. So a truncated file is known by its size alone, a flipped bit anywhere is found by one
sequential read, and HDF5 never parses a file that is not what it claims. Data sets carry fletcher32 as well, so that
ordinary reading notices a flipped bit in what it reads.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from sadgr.cache.errors import ShardGoneError, ShardInvalidError
from sadgr.cache.hdf5_memory import WRITING_BYTES, bound_structure
from sadgr.cache.ids import escape
from sadgr.cache.schema import ARRAYS, FORMAT_VERSION, Array, ClipRecord, FeatureSetSpec, stored_arrays

HEADER_BYTES = 512
CHUNK_BYTES = 1 << 20
HDF5 = ("v110", "v110")
"""HDF5 1.10's own structures: a fifth of the size of the older ones for small clips, and with checksums of their own."""
_HEADER = re.compile(
    rb"SADGR shard (?P<version>\d+)\nfeatureset (?P<featureset>[0-9a-f]{64})\nbytes (?P<bytes>\d+)\n"
    rb"sha256 (?P<sha256>[0-9a-f]{64})\n\0*"
)


@dataclass(frozen=True)
class ShardHeader:
    """The shard's first 512 bytes: feature set's fingerprint, and size and SHA-256 of the HDF5 part."""

    featureset: str
    size_bytes: int
    sha256: str


def encode_shard(spec: FeatureSetSpec, records: Sequence[ClipRecord]) -> bytes:
    """Return the whole file of a shard.

    Args:
        spec: the feature set.
        records: its clips, at least one, each id once.

    Raises:
        RefusedValueError: an array that must not be stored.
    """
    ids = [record.clip_id for record in records]
    if not ids or len(set(ids)) != len(ids):
        raise ValueError(f"a shard takes at least one clip and each clip once, got {len(ids)} ids")
    stored = [stored_arrays(spec.modality, record) for record in records]
    # In memory first: a full disk then meets a plain write, not HDF5 in the middle of its own bookkeeping.
    with h5py.File("shard", "w", driver="core", backing_store=False, userblock_size=HEADER_BYTES, libver=HDF5) as file:
        bound_structure(file, WRITING_BYTES)
        _table(file, "ids", _fixed_text(ids))
        _table(file, "sources", _fixed_text([record.source for record in records]))
        _table(file, "present", np.array([record.present for record in records], dtype=np.uint8))
        for name, rule in ARRAYS[spec.modality].items():
            if rule.flat and any(name in arrays for arrays in stored):
                _table(file, name, _flat(name, stored))
        clips = file.create_group("clips")
        for record, arrays in zip(records, stored, strict=True):
            own = {name: array for name, array in arrays.items() if not ARRAYS[spec.modality][name].flat}
            group = clips.create_group(escape(record.clip_id)) if own else None
            for name, array in own.items():
                _table(group, name, _fixed_text(list(array)) if array.dtype.kind in "OUT" else array)
        file.flush()
        body: bytes = file.id.get_file_image()
    header = (
        f"SADGR shard {FORMAT_VERSION}\nfeatureset {spec.fingerprint}\nbytes {len(body)}\n"
        f"sha256 {hashlib.sha256(body).hexdigest()}\n"
    )
    return header.encode().ljust(HEADER_BYTES, b"\0") + body


def read_header(path: Path) -> ShardHeader:
    """Read and check a shard's header against the file's size.

    Raises:
        ShardInvalidError: not a shard, of another format version, or truncated.
    """
    try:
        with path.open("rb") as file:
            match = _HEADER.fullmatch(file.read(HEADER_BYTES))
        size = path.stat().st_size - HEADER_BYTES
    except FileNotFoundError as error:
        raise ShardGoneError(f"{path} is gone") from error
    except OSError as error:
        raise ShardInvalidError(f"{path}: {error.strerror}") from error
    if match is None:
        raise ShardInvalidError(f"{path} is no shard of a SADGR cache (its first {HEADER_BYTES} bytes say otherwise)")
    if int(match["version"]) != FORMAT_VERSION:
        raise ShardInvalidError(f"{path} has format {int(match['version'])}, this version reads {FORMAT_VERSION}")
    if int(match["bytes"]) != size:
        raise ShardInvalidError(f"{path} is truncated or was appended to: {size} bytes, expected {int(match['bytes'])}")
    return ShardHeader(match["featureset"].decode(), size, match["sha256"].decode())


def check_content(path: Path) -> None:
    """Read the whole file and hold it against its SHA-256.

    Raises:
        ShardInvalidError: a byte differs.
    """
    header = read_header(path)
    try:
        with path.open("rb") as file:
            file.seek(HEADER_BYTES)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ShardGoneError(f"{path} is gone") from error
    except OSError as error:
        raise ShardInvalidError(f"{path} cannot be read: {error.strerror}") from error
    if digest != header.sha256:
        raise ShardInvalidError(f"{path} was altered after it was written: its SHA-256 differs")


def _table(group: h5py.Group, name: str, array: Array) -> None:
    shape = tuple(max(length, 1) for length in array.shape)
    row_bytes = array.dtype.itemsize * math.prod(shape[1:])
    rows = min(shape[0], max(1, CHUNK_BYTES // row_bytes))  # a row of a long table is then read without the others
    group.create_dataset(name, data=array, chunks=(rows, *shape[1:]), maxshape=shape, fletcher32=True)


def _fixed_text(values: Sequence[str]) -> Array:
    """UTF-8 of fixed width: fletcher32 covers it, as it does not cover HDF5's variable-length text."""
    if any("\0" in str(value) for value in values):
        raise ValueError("text holds a NUL character, which ends text in HDF5")
    raw = [str(value).encode("utf-8") for value in values]
    width = max([1, *map(len, raw)])
    return np.array(raw, dtype=f"S{width}").astype(h5py.string_dtype("utf-8", width))


def _flat(name: str, stored: Sequence[Mapping[str, Array]]) -> Array:
    """One row a clip; NaN where a clip has none, so that a reader who ignores `present` cannot be quietly wrong."""
    example = next(arrays[name] for arrays in stored if name in arrays)
    rows = np.full((len(stored), *example.shape), np.nan, dtype=example.dtype)
    for row, arrays in zip(rows, stored, strict=True):
        if name in arrays:
            if arrays[name].shape != example.shape:
                raise ValueError(f"{name} is {arrays[name].shape} in one clip and {example.shape} in another")
            row[...] = arrays[name]
    return rows
