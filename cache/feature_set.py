"""One feature set: a folder of shards, and reading it."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sadgr.cache import flat_file
from sadgr.cache.errors import CacheError, NotWritableError, SelectionError, ShardGoneError, ShardInvalidError
from sadgr.cache.index import INDEX_FILE, Entries, Index, Table, digests_of, keys_of
from sadgr.cache.open_shards import OpenShards
from sadgr.cache.publish import make_folder, replace, shard_names, writable
from sadgr.cache.schema import Array, FeatureSetSpec
from sadgr.cache.shard import check_content
from sadgr.cache.shard_reader import ShardReader

SPEC_FILE = "featureset.json"
INDEXED_FROM_SHARDS, INDEXED_FROM_CLIPS = 32, 8192
"""New shards, or clips in them, met at one look from which on the index is written: fewer are read faster than it is."""
LOOKS = 50
"""Times that a reader looks anew when a shard is taken away under its hands."""
SETTLED_LOOKS = 3
"""Looks after which a folder that others keep writing into is taken as it is."""
_TOO_FAST = "{}: its shards change faster than they can be read; is `sadgr-cache compact` running in a loop?"


class FeatureSet:
    """A feature set as it lies on disk.

    Opening is lazy and cheap. Shards are read without locks; of two records of one clip the later shard's counts. A shard
    that a compaction took away while it was about to be read is looked for in what replaced it.

    Args:
        path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec = _read_spec(path)
        self.invalid: dict[str, str] = {}
        """Shards that could not be used, with the reason; filled by `entries`."""
        self._entries: Entries | None = None
        self._verified: dict[str, tuple[int, int, int]] = {}
        self._readers = OpenShards(self._reader)

    @property
    def name(self) -> str:
        """Folder name."""
        return self.path.name

    @property
    def modality(self) -> str:
        """One of `MODALITIES`."""
        return self.spec.modality

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the numbers."""
        return self.spec.fingerprint

    @property
    def encoder_fingerprint(self) -> str:
        """SHA-256 of the encoder's part."""
        return self.spec.encoder_fingerprint

    def shards(self) -> list[Path]:
        """Return the published shards, oldest first."""
        return [self.path / name for name in shard_names(self.path)]

    def entries(self) -> Entries:
        """Return the latest record of every clip; looks at the folder anew and reads only what is new there."""
        return self._look(keep_open=False)

    def _look(self, keep_open: bool) -> Entries:
        """Look at the folder; shards that are kept open can be read next, even if they are taken away meanwhile."""
        tables: dict[str, Table] = {}
        names = shard_names(self.path)
        for look in range(LOOKS):
            whole = self._read_new(names, tables, keep_open)
            now = shard_names(self.path)
            # A listing that runs while a compaction does may miss both a merged shard and its parts.
            if whole and (now == names or look >= SETTLED_LOOKS):
                return self._take_in(names, tables)
            names = now
        raise CacheError(_TOO_FAST.format(self.path))

    def _read_new(self, names: Sequence[str], tables: dict[str, Table], keep_open: bool) -> bool:
        """Read the tables of shards that no index knows yet; tells whether all of them were still there."""
        if self._entries is None:
            self._entries = Entries(Index.load(self.path), self._ids_of, self.entries)
        if not set(self._entries.index.shards) <= set(names):  # some were compacted away
            self._entries = Entries(Index.empty(), self._ids_of, self.entries)
            self._readers.close()
        self.invalid = {name: reason for name, reason in self.invalid.items() if name in set(names)}
        known = {*self._entries.index.shards, *tables}
        for name in names:
            if name not in known:
                try:
                    with nullcontext(self._readers[name]) if keep_open else self._reader(name) as shard:
                        tables[name] = Table.of(shard.ids, shard.sources, shard.present)
                except ShardGoneError:
                    return False
                except ShardInvalidError as error:
                    self.invalid[name] = str(error)
        return True

    def _take_in(self, names: Sequence[str], tables: Mapping[str, Table]) -> Entries:
        index = self._entries.index if self._entries is not None else Index.empty()
        fresh = [name for name in names if name in tables and name not in set(index.shards)]
        self._entries = Entries(index.with_shards(fresh, [tables[name] for name in fresh]), self._ids_of, self.entries)
        clips = sum(len(tables[name].row) for name in fresh)
        if len(fresh) >= INDEXED_FROM_SHARDS or clips >= INDEXED_FROM_CLIPS:
            with suppress(NotWritableError):  # a colleague who may only read reads the shards themselves
                self._entries.index.save(self.path)
        return self._entries

    def known_entries(self) -> Entries:
        """Return the entries as of the last look at the folder; looks once where none was taken."""
        return self._entries if self._entries is not None else self.entries()

    def missing(self, wanted: Mapping[str, str]) -> list[str]:
        """Return the clips that have no record made from the wanted source.

        Args:
            wanted: clip id -> source digest.
        """
        done, _ = self._made_from(wanted)
        return [clip_id for clip_id, is_done in zip(wanted, done.tolist(), strict=True) if not is_done]

    def absent(self, wanted: Mapping[str, str]) -> list[str]:
        """Return the clips that are known to lack the modality, by a record made from the wanted source."""
        done, present = self._made_from(wanted)
        return [clip_id for clip_id, is_absent in zip(wanted, (done & ~present).tolist(), strict=True) if is_absent]

    def _made_from(self, wanted: Mapping[str, str]) -> tuple[Array, Array]:
        """Return whether each clip has a record made from that source, and whether that one has the modality."""
        index = self.entries().index
        if not wanted or not len(index):
            return np.zeros(len(wanted), bool), np.zeros(len(wanted), bool)
        place = index.find(keys_of(wanted))
        done = (place >= 0) & (index.digests[place] == digests_of(wanted.values())).all(axis=1)
        return done, index.present[place]

    def read(self, clip_id: str, names: Collection[str] | None = None) -> dict[str, Array] | None:
        """Return a clip's arrays in their stored types; None when the clip lacks the modality.

        Args:
            clip_id: the clip.
            names: only these arrays; None for all that it has.

        Raises:
            SelectionError: the feature set has no record of the clip.
        """
        entry = self._entries.get(clip_id) if self._entries is not None else None
        entry = entry or self._look(keep_open=True).get(clip_id)
        for _ in range(LOOKS):
            if entry is None:
                raise SelectionError(f"{self.name} holds no clip {clip_id!r}")
            if not entry.present:
                return None
            try:
                return self._readers[entry.shard].arrays(clip_id, entry.row, names)
            except ShardGoneError:
                entry = self._look(keep_open=True).get(clip_id)
        raise CacheError(_TOO_FAST.format(self.path))

    def vectors(self, name: str, dtype: npt.DTypeLike = np.float32) -> tuple[list[str], Array]:
        """Return a flat table over all present clips.

        Args:
            name: `mean` or `mean_words`.
            dtype: of the result; float16 is what is stored, and costs no copy: the array is then read-only where it is
                mapped from the file beside the shards that keeps the vectors of a large feature set.

        Returns:
            Ids (n,) in sorted order, and vectors (n, D).
        """
        for _ in range(LOOKS):
            with suppress(ShardGoneError):
                index = self.entries().index
                flat = flat_file.load(self.path, name, index.shards)
                if flat is None:
                    flat = self._vectors(name, index)
                    if len(flat[0]) >= INDEXED_FROM_CLIPS:
                        with suppress(NotWritableError):
                            flat_file.save(self.path, name, index.shards, *flat)
                return flat[0], flat[1].astype(dtype, copy=False)
        raise CacheError(_TOO_FAST.format(self.path))

    def _vectors(self, name: str, index: Index) -> tuple[list[str], Array]:
        ids: list[str] = []
        parts: list[Array] = []
        for number, shard_name in enumerate(index.shards):
            rows = np.sort(index.row[(index.shard == number) & index.present])
            shard = self._readers[shard_name]
            if len(rows) and shard.has_table(name):
                table = shard.table(name)
                if rows[-1] >= len(table):
                    raise CacheError(f"{self.path / INDEX_FILE} says more of {shard_name} than it holds; delete it")
                rows = rows[np.isfinite(table[rows, 0])]
                ids += [shard.ids[row] for row in rows.tolist()]
                parts.append(table if len(rows) == len(table) else table[rows])
        if not ids:
            raise SelectionError(f"{self.name} holds no {name!r} vectors")
        order = np.argsort(np.array(ids), kind="stable")
        place = np.empty(len(order), np.intp)
        place[order] = np.arange(len(order))
        vectors = np.empty((len(ids), parts[0].shape[1]), parts[0].dtype)
        start = 0
        for part in parts:  # straight to its rows: no second copy of everything
            vectors[place[start : start + len(part)]] = part
            start += len(part)
        return [ids[one] for one in order.tolist()], vectors

    def _reader(self, name: str) -> ShardReader:
        """Open a shard; the first time in this process, or when its file is another, it is held against its SHA-256.

        Fletcher32 guards arrays alone: a flipped bit in HDF5's own structures, or a block that reads as zeros, would pass.
        """
        path = self.path / name
        try:
            status = path.stat()
        except FileNotFoundError as error:
            raise ShardGoneError(f"{path} is gone") from error
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        if self._verified.get(name) != seen:
            check_content(path)
            self._verified[name] = seen
        return ShardReader(path, self.fingerprint, self.modality)

    def _ids_of(self, name: str) -> list[str]:
        return self._readers[name].ids

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind, so that a feature set can go to a spawned worker."""
        return {"path": self.path, "spec": self.spec, "invalid": self.invalid}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open anew."""
        self.__dict__.update(state, _entries=None, _verified={}, _readers=OpenShards(self._reader))


def create_feature_set(dataset: Path, spec: FeatureSetSpec) -> FeatureSet:
    """Make the feature set's folder in a data set's folder, or open the one that is there."""
    folder = dataset / spec.name
    with writable(dataset):
        make_folder(folder)
    if not (folder / SPEC_FILE).exists():
        content = {
            "modality": spec.modality,
            "model": spec.model,
            "fingerprint": spec.fingerprint,
            "settings": dict(spec.settings),
            "about": dict(spec.about),
        }
        replace(folder / SPEC_FILE, json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return FeatureSet(folder)


def feature_sets(dataset: Path) -> Iterator[FeatureSet]:
    """Give every feature set of a data set's folder, sorted by name."""
    for file in sorted(dataset.glob(f"[!.]*/{SPEC_FILE}")):
        yield FeatureSet(file.parent)


def _read_spec(folder: Path) -> FeatureSetSpec:
    try:
        content = json.loads((folder / SPEC_FILE).read_text(encoding="utf-8"))
        spec = FeatureSetSpec(content["modality"], content["model"], content["settings"], content["about"])
        edited = spec.fingerprint != content["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CacheError(f"{folder / SPEC_FILE} cannot be read as a feature set's description: {error}") from error
    if edited:
        raise CacheError(f"{folder / SPEC_FILE} was edited: its settings no longer give its fingerprint")
    return spec
