"""A data set's features in a few flat files, gathered once from the cache's shards and mapped by every process.

A snapshot is derived: named by the shards and clips that it was made from, it is never out of date, only unused, and may
be deleted at any time (`sadgr-cache gc` does, once it is old).
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sadgr.cache import CacheError, ClipFeatures, Dataset, Selection, fingerprint
from sadgr.cache.home import default_home
from sadgr.cache.publish import TEMPORARY_PREFIX, make_folder, unique_stem
from sadgr.cache.upkeep import SNAPSHOTS
from sadgr.train.logs import Log

VERSION = 1
_META = "snapshot.json"
_ARRAYS = tuple(field.name for field in fields(ClipFeatures) if field.name not in ("clip_id", "words"))
_TYPES = {"video_seconds": "<f8"}
_FEATURE = "<f2"


@dataclass(frozen=True)
class Column:
    """One array of all clips, end to end.

    Attributes:
        values: (rows of all clips, D), or (rows,) for times.
        lengths: (n,) rows of each clip, -1 where it has none.
        starts: (n,) where they begin.
    """

    values: NDArray[Any]
    lengths: NDArray[np.int64]
    starts: NDArray[np.int64]

    def of(self, place: int) -> NDArray[Any] | None:
        """Return a clip's array, a view into the file, or None."""
        if self.lengths[place] < 0:
            return None
        start = int(self.starts[place])
        return self.values[start : start + int(self.lengths[place])]


class Snapshot:
    """An open snapshot.

    Args:
        folder: where it lies.
    """

    def __init__(self, folder: Path) -> None:
        meta = json.loads((folder / _META).read_text(encoding="utf-8"))
        self.ids: list[str] = meta["ids"]
        self._columns = {name: _open(folder, name, about) for name, about in meta["arrays"].items()}

    def clips(self) -> Iterator[ClipFeatures]:
        """Give the features of each clip, in the order of the ids; float32, times float64."""
        for place, clip_id in enumerate(self.ids):
            arrays: dict[str, Any] = {}
            for name, column in self._columns.items():
                found = column.of(place)
                if found is not None:
                    vector = name.endswith(("_mean", "_mean_words"))
                    wanted = np.float64 if name in _TYPES else np.float32
                    arrays[name] = (found[0] if vector else found).astype(wanted)
            yield ClipFeatures(clip_id, **arrays)


def snapshot(data: Dataset, ids: Sequence[str], selection: Selection, log: Log) -> Snapshot:
    """Open the snapshot of these clips and feature sets, making it where there is none.

    It lies in the data set's folder, or, where that may not be written, in the user's own.

    Args:
        data: the data set.
        ids: clips, in the order in which they are wanted.
        selection: feature sets.
        log: told when one is made.
    """
    key = _key(ids, selection)
    homes = [data.path / SNAPSHOTS, default_home() / "snapshots"]
    for home in homes:
        with suppress(OSError, ValueError, KeyError):
            found = Snapshot(home / key)
            with suppress(OSError):
                os.utime(home / key)  # in use: gc leaves it
            return found
    log(f"gathering {len(ids)} clips of {data.name} for training")
    refused: OSError | None = None
    for home in homes:
        try:
            _build(home, key, data, ids, selection)
            return Snapshot(home / key)
        except OSError as error:  # no right to write here, a full disk, a read-only file system
            refused = error
    raise CacheError(
        f"no snapshot can be written in {homes[0]} or {homes[1]} ({refused}); set SADGR_HOME to another folder"
    )


def _key(ids: Sequence[str], selection: Selection) -> str:
    """Name the content: shards never change, so their names and the clips say all."""
    sets = {
        modality: [one.fingerprint, list(one.entries().index.shards)]
        for modality, one in vars(selection).items()
        if one is not None
    }
    return fingerprint({"snapshot": VERSION, "ids": list(ids), "sets": sets})[:32]


def _build(home: Path, key: str, data: Dataset, ids: Sequence[str], selection: Selection) -> None:
    """Write beside, then rename; whoever comes second drops its own."""
    make_folder(home)
    aside = home / f"{TEMPORARY_PREFIX}{unique_stem()}"
    aside.mkdir()
    try:
        _write(aside, data, ids, selection)
        try:
            aside.rename(home / key)
        except OSError:
            with suppress(OSError, ValueError, KeyError):
                Snapshot(home / key)
                return
            shutil.rmtree(home / key, ignore_errors=True)  # damaged: it could not be opened
            aside.rename(home / key)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(folder: Path, data: Dataset, ids: Sequence[str], selection: Selection) -> None:
    lengths: dict[str, list[int]] = {name: [] for name in _ARRAYS}
    widths: dict[str, tuple[int, ...]] = {}
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / name).open("wb")) for name in _ARRAYS}
        for clip in data.clips(ids, selection):
            for name in _ARRAYS:
                array = getattr(clip, name)
                if array is None:
                    lengths[name].append(-1)
                    continue
                rows = array[None] if name.endswith(("_mean", "_mean_words")) else array
                if widths.setdefault(name, rows.shape[1:]) != rows.shape[1:]:
                    raise CacheError(f"clip {clip.clip_id!r}: {name} is {rows.shape[1:]} wide, others {widths[name]}")
                lengths[name].append(len(rows))
                files[name].write(np.ascontiguousarray(rows, _TYPES.get(name, _FEATURE)).tobytes())
    arrays = {name: {"lengths": lengths[name], "width": list(widths[name])} for name in widths}
    for name in set(_ARRAYS) - set(widths):
        (folder / name).unlink()
    (folder / _META).write_text(json.dumps({"version": VERSION, "ids": list(ids), "arrays": arrays}), encoding="utf-8")


def _open(folder: Path, name: str, about: dict[str, Any]) -> Column:
    lengths = np.array(about["lengths"], np.int64)
    rows = np.maximum(lengths, 0)
    shape = (int(rows.sum()), *about["width"])
    dtype = np.dtype(_TYPES.get(name, _FEATURE))
    path = folder / name
    if path.stat().st_size != dtype.itemsize * int(np.prod(shape)):
        raise ValueError(f"{path} is not as long as it should be")
    values = np.memmap(path, dtype, "r", shape=shape) if shape[0] else np.zeros(shape, dtype)
    return Column(values, lengths, np.cumsum(rows) - rows)
