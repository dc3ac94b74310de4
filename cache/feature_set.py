"""Reading and writing one feature set: a folder of shards."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from sadgr.cache.errors import CacheError, SelectionError, ShardInvalidError
from sadgr.cache.publish import Method, publish, replace, unique_stem, writable
from sadgr.cache.schema import Array, ClipRecord, FeatureSetSpec, stored_arrays
from sadgr.cache.shard import encode_shard
from sadgr.cache.shard_reader import ShardReader

SPEC_FILE = "featureset.json"
SHARD_CLIPS = 256
SHARD_SECONDS = 60.0


@dataclass(frozen=True)
class Entry:
    """Where a clip's latest record stands."""

    shard: str
    row: int
    source: str
    present: bool


class FeatureSet:
    """A feature set as it lies on disk.

    Opening is lazy and cheap. Shards are read without locks; of two records of one clip the later shard's counts.

    Args:
        path: its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec = _read_spec(path)
        self.invalid: dict[str, str] = {}
        """Shards that could not be used, with the reason; filled by `entries`."""
        self._entries: dict[str, Entry] = {}
        self._listed: frozenset[str] = frozenset()
        self._open: tuple[int, ShardReader] | None = None

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
        return sorted(path for path in self.path.glob("*.h5") if not path.name.startswith("."))

    def entries(self) -> Mapping[str, Entry]:
        """Return the latest record of every clip; looks at the folder anew and reads only what is new there."""
        shards = self.shards()
        names = frozenset(path.name for path in shards)
        if not names >= self._listed:  # some were compacted away
            self._entries, self._listed = {}, frozenset()
        fresh = [path for path in shards if path.name not in self._listed]
        for path in fresh:
            try:
                with self._reader(path) as shard:
                    found = zip(shard.ids, shard.sources, shard.present.tolist(), strict=True)
                    entries = {i: Entry(path.name, row, s, p) for row, (i, s, p) in enumerate(found)}
            except ShardInvalidError as error:
                self.invalid[path.name] = str(error)
                continue
            for clip_id, entry in entries.items():
                known = self._entries.get(clip_id)
                if known is None or known.shard < entry.shard:
                    self._entries[clip_id] = entry
        self._listed = names
        return self._entries

    def known_entries(self) -> Mapping[str, Entry]:
        """Return the entries as of the last look at the folder; looks once where none was taken."""
        return self._entries if self._listed else self.entries()

    def missing(self, wanted: Mapping[str, str]) -> list[str]:
        """Return the clips that have no record made from the wanted source.

        Args:
            wanted: clip id -> source digest.
        """
        entries = self.entries()
        return [
            clip_id
            for clip_id, source in wanted.items()
            if (entry := entries.get(clip_id)) is None or entry.source != source
        ]

    def read(self, clip_id: str) -> dict[str, Array] | None:
        """Return a clip's arrays in their stored types; None when the clip lacks the modality.

        Raises:
            SelectionError: the feature set has no record of the clip.
        """
        entry = self.known_entries().get(clip_id) or self.entries().get(clip_id)
        if entry is None:
            raise SelectionError(f"{self.name} holds no clip {clip_id!r}")
        return self._shard(entry.shard).arrays(entry.row)

    def vectors(self, name: str) -> tuple[list[str], Array]:
        """Return a flat table over all present clips.

        Args:
            name: `mean` or `mean_words`.

        Returns:
            Ids (n,) in sorted order, and vectors (n, D) float32.
        """
        by_shard: dict[str, list[tuple[str, int]]] = {}
        for clip_id, entry in self.entries().items():
            if entry.present:
                by_shard.setdefault(entry.shard, []).append((clip_id, entry.row))
        ids: list[str] = []
        parts: list[Array] = []
        for shard_name, rows in sorted(by_shard.items()):
            shard = self._shard(shard_name)
            if shard.has_table(name):
                table = shard.table(name)[[row for _, row in rows]].astype(np.float32)
                held: Array = np.isfinite(table[:, 0])
                ids += [clip_id for (clip_id, _), kept in zip(rows, held, strict=True) if kept]
                parts.append(table[held])
        if not ids:
            raise SelectionError(f"{self.name} holds no {name!r} vectors")
        order = np.argsort(np.array(ids), kind="stable")
        return [ids[place] for place in order], np.concatenate(parts)[order]

    def _reader(self, path: Path) -> ShardReader:
        return ShardReader(path, self.fingerprint, self.modality)

    def _shard(self, name: str) -> ShardReader:
        """Keep the last shard open: clips are mostly read in order. A forked process opens its own."""
        if self._open is None or self._open[0] != os.getpid() or self._open[1].path.name != name:
            if self._open is not None and self._open[0] == os.getpid():
                self._open[1].close()
            self._open = (os.getpid(), self._reader(self.path / name))
        return self._open[1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file behind, so that a feature set can go to a spawned worker."""
        return {**self.__dict__, "_open": None}


class FeatureWriter:
    """Gathers clips and publishes them as shards of up to 256 clips or 60 seconds of work.

    Use it as a context manager; what was added is published on leaving, also when an error or a signal ends the block.

    Args:
        feature_set: where to.
        method: as `publishing_method` found for this file system.
    """

    def __init__(self, feature_set: FeatureSet, method: Method, clock: Callable[[], float] = time.monotonic) -> None:
        self.feature_set = feature_set
        self.bytes_written = 0
        self._method = method
        self._clock = clock
        self._records: dict[str, ClipRecord] = {}
        self._since = clock()

    def add(self, record: ClipRecord) -> None:
        """Take a clip; it is on disk after the next publication.

        Raises:
            RefusedValueError: an array must not be stored; nothing of this clip is.
        """
        stored_arrays(self.feature_set.modality, record)
        if not self._records:
            self._since = self._clock()
        self._records[record.clip_id] = record
        if len(self._records) >= SHARD_CLIPS or self._clock() - self._since >= SHARD_SECONDS:
            self.publish()

    def publish(self) -> None:
        """Publish the shard in hand, if there is any."""
        if not self._records:
            return
        content = encode_shard(self.feature_set.spec, list(self._records.values()))
        publish(self.feature_set.path / f"{unique_stem()}.h5", content, self._method)
        self.bytes_written += len(content)
        self._records.clear()

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Publish what is complete."""
        self.publish()


def create_feature_set(dataset: Path, spec: FeatureSetSpec) -> FeatureSet:
    """Make the feature set's folder in a data set's folder, or open the one that is there."""
    folder = dataset / spec.name
    with writable(dataset):
        folder.mkdir(parents=True, exist_ok=True)
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
    for file in sorted(dataset.glob(f"*/{SPEC_FILE}")):
        yield FeatureSet(file.parent)


def _read_spec(folder: Path) -> FeatureSetSpec:
    try:
        content = json.loads((folder / SPEC_FILE).read_text(encoding="utf-8"))
        spec = FeatureSetSpec(content["modality"], content["model"], content["settings"], content["about"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CacheError(f"{folder / SPEC_FILE} cannot be read as a feature set's description: {error}") from error
    if spec.fingerprint != content.get("fingerprint"):
        raise CacheError(f"{folder / SPEC_FILE} was edited: its settings no longer give its fingerprint")
    return spec
