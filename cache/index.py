"""Where each clip's latest record stands: columns of a million rows rather than a million objects, kept on disk for speed.

The index is derived: it may be deleted at any time, is rebuilt from the shards, and is believed only about shards that
are still there.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from sadgr.cache.errors import CacheError, ShardGoneError
from sadgr.cache.ids import normalise_id
from sadgr.cache.publish import replace as replace_file

INDEX_FILE = ".index.npz"
INDEX_VERSION = 1
_COLUMNS = ("keys", "digests", "shard", "row", "present")


@dataclass(frozen=True)
class Entry:
    """Where a clip's latest record stands."""

    shard: str
    row: int
    source: str
    present: bool


@dataclass(frozen=True, eq=False)
class Index:
    """Records of n clips, sorted by key.

    Attributes:
        shards: names of shards that were looked at, oldest first.
        keys: (n, 2) uint64, 128 bits of the BLAKE2b of each id.
        digests: (n, 4) uint64, the SHA-256 of each record's source.
        shard: (n,) int32, place in `shards`.
        row: (n,) int32, place in the shard's tables.
        present: (n,) bool, whether the clip has the modality.
    """

    shards: tuple[str, ...]
    keys: npt.NDArray[np.uint64]
    digests: npt.NDArray[np.uint64]
    shard: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    present: npt.NDArray[np.bool_]

    @classmethod
    def empty(cls) -> Self:
        """Return the index of no shard."""
        words = np.zeros((0, 2), np.uint64), np.zeros((0, 4), np.uint64)
        return cls((), *words, np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.bool_))

    def __len__(self) -> int:
        """Clips."""
        return len(self.keys)

    def with_shards(self, names: Sequence[str], tables: Sequence["Table"]) -> "Index":
        """Return an index that knows further shards, too; of two records of one clip the later shard's counts.

        Args:
            names: names of the new shards.
            tables: what stands in each.
        """
        if not names:
            return self
        shards = tuple(sorted({*self.shards, *names}))
        place = {name: number for number, name in enumerate(shards)}
        moved = np.array([place[name] for name in self.shards], np.int32)
        fresh = [np.full(len(table.row), place[name], np.int32) for name, table in zip(names, tables, strict=True)]
        columns = {
            name: np.concatenate([getattr(self, name), *(getattr(table, name) for table in tables)])
            for name in ("keys", "digests", "row", "present")
        }
        shard = np.concatenate([moved[self.shard] if len(self) else self.shard, *fresh])
        return Index(shards, shard=shard, **columns)._latest()

    def _latest(self) -> "Index":
        order = np.lexsort((self.row, self.shard, self.keys[:, 1], self.keys[:, 0]))
        keys = self.keys[order]
        last = np.ones(len(keys), bool)
        last[:-1] = (keys[1:] != keys[:-1]).any(axis=1)
        kept = order[last]
        return replace(self, **{name: getattr(self, name)[kept] for name in _COLUMNS})

    def find(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.intp]:
        """Return the place of each key (m, 2), or -1."""
        if not len(self):
            return np.full(len(keys), -1, np.intp)
        place = np.searchsorted(self.keys[:, 0], keys[:, 0])
        place = np.minimum(place, len(self) - 1)
        found = (self.keys[place] == keys).all(axis=1)
        for missed in np.flatnonzero(~found & (self.keys[place, 0] == keys[:, 0])):  # ids that share 64 bits
            same = np.flatnonzero((self.keys == keys[missed]).all(axis=1))
            if len(same):
                place[missed], found[missed] = same[0], True
        return np.where(found, place, -1)

    def entry(self, place: int) -> Entry:
        """Return the record at a place."""
        source = self.digests[place].astype(">u8").tobytes().hex()
        return Entry(self.shards[self.shard[place]], int(self.row[place]), source, bool(self.present[place]))

    def save(self, folder: Path) -> None:
        """Write it beside the shards; raises NotWritableError where that is not allowed."""
        buffer = io.BytesIO()
        names = np.frombuffer("\n".join(self.shards).encode(), np.uint8)
        columns = {name: getattr(self, name) for name in _COLUMNS}
        np.savez(buffer, version=np.array(INDEX_VERSION), shards=names, check=_checksum(columns, names), **columns)
        replace_file(folder / INDEX_FILE, buffer.getvalue())

    @classmethod
    def load(cls, folder: Path) -> "Index":
        """Read the index of a folder; an empty one where there is none, or none that can be believed."""
        try:
            with np.load(folder / INDEX_FILE, allow_pickle=False) as content:
                columns = {name: content[name] for name in _COLUMNS}
                names = content["shards"]
                whole = int(content["version"]) == INDEX_VERSION and str(content["check"]) == _checksum(columns, names)
            shards = tuple(names.tobytes().decode().split("\n")) if len(names) else ()
            index = cls(shards, **columns)
            return index if whole and index.sound() else cls.empty()
        except Exception:  # derived: whatever is wrong with it, the shards say the same
            return cls.empty()

    def sound(self) -> bool:
        """Whether columns have their types and lengths, and lead to shards that are named."""
        nothing, n = type(self).empty(), len(self.row)
        fits = all(
            (column := getattr(self, name)).dtype == (like := getattr(nothing, name)).dtype
            and column.shape == (n, *like.shape[1:])
            for name in _COLUMNS
        )
        return fits and bool(((self.shard >= 0) & (self.shard < len(self.shards)) & (self.row >= 0)).all())


@dataclass(frozen=True, eq=False)
class Table:
    """What one shard says of its clips, columns as in `Index`."""

    keys: npt.NDArray[np.uint64]
    digests: npt.NDArray[np.uint64]
    row: npt.NDArray[np.int32]
    present: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, ids: Sequence[str], sources: Iterable[str], present: npt.NDArray[np.bool_]) -> "Table":
        """Make it of a shard's tables."""
        return cls(keys_of(ids), digests_of(sources), np.arange(len(ids), dtype=np.int32), present)


def keys_of(ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return (n, 2) uint64 keys of clip ids."""
    raw = b"".join(hashlib.blake2b(one.encode(), digest_size=16).digest() for one in ids)
    return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2)


def digests_of(sources: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return (n, 4) uint64 of source digests in hexadecimal."""
    return np.frombuffer(bytes.fromhex("".join(sources)), ">u8").astype(np.uint64).reshape(-1, 4)


class Entries(Mapping[str, Entry]):
    """An index as a mapping from clip id to entry; ids are read from the shards when they are asked for.

    Args:
        index: where records stand.
        ids_of: shard's name -> ids of its rows.
        look_anew: gives the entries as they are now.
    """

    def __init__(
        self, index: Index, ids_of: Callable[[str], Sequence[str]], look_anew: Callable[[], "Entries"]
    ) -> None:
        self.index = index
        self._ids_of = ids_of
        self._look_anew = look_anew

    def __len__(self) -> int:
        """Clips."""
        return len(self.index)

    def __getitem__(self, clip_id: str) -> Entry:
        """Return where a clip's record stands."""
        try:
            place = int(self.index.find(keys_of([normalise_id(clip_id)]))[0])
        except ValueError as error:  # no clip can have this id
            raise KeyError(clip_id) from error
        if place < 0:
            raise KeyError(clip_id)
        return self.index.entry(place)

    def __iter__(self) -> Iterator[str]:
        """Give the ids, shard by shard; what a compaction takes away meanwhile is found in what replaced it."""
        order = np.lexsort((self.index.row, self.index.shard))
        shard_of, rows = self.index.shard[order], self.index.row[order].tolist()
        starts = np.flatnonzero(np.diff(shard_of, prepend=-1)).tolist()
        for start, stop in zip(starts, [*starts[1:], len(rows)][: len(starts)], strict=True):
            name = self.index.shards[shard_of[start]]
            try:
                ids = self._ids_of(name)
            except ShardGoneError:
                given = np.sort(order[:start])
                yield from self._others(
                    replace(self.index, **{one: getattr(self.index, one)[given] for one in _COLUMNS})
                )
                return
            if rows[stop - 1] >= len(ids):
                raise CacheError(f"{INDEX_FILE} says more of {name} than it holds; delete it")
            yield from (ids[row] for row in rows[start:stop])

    def _others(self, given: Index) -> Iterator[str]:
        """Give the ids of the folder as it is now, without those that were given already."""
        for clip_id in self._look_anew():
            if given.find(keys_of([clip_id]))[0] < 0:
                yield clip_id

    def present_count(self) -> int:
        """Clips that have the modality."""
        return int(self.index.present.sum())


def _checksum(columns: Mapping[str, npt.NDArray[np.generic]], names: npt.NDArray[np.uint8]) -> str:
    digest = hashlib.blake2b(names.tobytes(), digest_size=16)
    for name in _COLUMNS:
        digest.update(np.ascontiguousarray(columns[name]).data)
    return digest.hexdigest()
