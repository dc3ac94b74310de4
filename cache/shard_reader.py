"""Reading one shard, trusting nothing that an HDF5 file from elsewhere could do."""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from sadgr.cache.errors import ShardGoneError, ShardInvalidError
from sadgr.cache.hdf5_memory import bound_structure, structure_bytes
from sadgr.cache.ids import escape
from sadgr.cache.schema import ARRAYS, Array, ClipRecord
from sadgr.cache.shard import read_header

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TABLES = {"ids": ("S", 1), "sources": ("S", 1), "present": ("uint8", 1)}
"""Type and rank of the tables that every shard has."""


class ShardReader:
    """An open shard.

    Args:
        path: the file.
        featureset: fingerprint that it must carry.
        modality: decides which arrays are looked for.

    Raises:
        ShardInvalidError: truncated, altered, of another feature set, or pointing outside itself.
    """

    def __init__(self, path: Path, featureset: str, modality: str) -> None:
        self.path = path
        self.modality = modality
        header = read_header(path)
        if header.featureset != featureset:
            raise ShardInvalidError(f"{path} belongs to feature set {header.featureset[:12]}, not {featureset[:12]}")
        try:
            # What is published never changes, so no lock is needed; many network file systems have none.
            self._file = h5py.File(path, "r", locking=False)
            bound_structure(self._file, structure_bytes(header.size_bytes))
        except FileNotFoundError as error:
            raise ShardGoneError(f"{path} is gone") from error
        except OSError as error:
            if not path.exists():  # HDF5 says less than Python does
                raise ShardGoneError(f"{path} is gone") from error
            raise ShardInvalidError(f"{path} cannot be opened as HDF5: {error}") from error

    def __enter__(self) -> Self:
        """Return the open shard."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the shard's clips, in the order of its tables."""
        with self._explained("ids"):
            return [value.decode("utf-8") for value in self._read("ids").tolist()]

    @property
    def sources(self) -> list[str]:
        """Source digest of each clip; they are long, and are read anew each time."""
        with self._explained("sources"):
            sources = [value.decode("ascii") for value in self._read("sources").tolist()]
            if len(sources) != len(self.ids) or not all(_DIGEST.fullmatch(source) for source in sources):
                raise ValueError("not one digest of 64 digits for each clip")
            return sources

    @cached_property
    def present(self) -> Array:
        """(n,) bool, whether each clip has the modality."""
        present = self._read("present").astype(bool)
        if len(present) != len(self.ids):
            raise ShardInvalidError(f"{self.path}: present has another length than ids; such a file is refused")
        return present

    def has_table(self, name: str) -> bool:
        """Whether the shard holds this table or array, or something else in its place."""
        group, _, leaf = name.rpartition("/")
        with self._explained(name):
            self._check_own(group)
            return bool(self._file.id.links.exists(f"{group}/{leaf}".lstrip("/").encode()))

    def table(self, name: str) -> Array:
        """Return a flat table, (n, D) in its stored type; rows of absent clips are NaN."""
        table = self._read(name)
        if table.shape[0] != len(self.ids) or table.shape[1] == 0:
            raise ShardInvalidError(f"{self.path}: {name} has shape {table.shape} for {len(self.ids)} clips; refused")
        return table

    def arrays(self, clip_id: str, row: int, names: Collection[str] | None = None) -> dict[str, Array]:
        """Return the arrays, in their stored types, of a clip that has the modality.

        Args:
            clip_id: the clip.
            row: its row in the tables.
            names: only these arrays; None for all.
        """
        arrays: dict[str, Array] = {}
        group = f"clips/{escape(clip_id)}"
        has_group = self.has_table(group)  # a clip whose arrays are all vectors needs none
        for name, rule in ARRAYS[self.modality].items():
            if names is not None and name not in names:
                continue
            if rule.flat:
                if self.has_table(name) and not np.isnan(vector := self._read(name, row)).any():
                    arrays[name] = vector
            elif rule.required or (has_group and self.has_table(f"{group}/{name}")):
                stored = self._read(f"{group}/{name}")
                arrays[name] = _text(stored) if rule.dtype == "str" else stored
        return arrays

    def records(self, rows: Sequence[int]) -> Iterator[ClipRecord]:
        """Give the records of these rows; vectors are read a table at a time.

        Args:
            rows: places in the tables.
        """
        rules = ARRAYS[self.modality]
        own = [name for name, rule in rules.items() if not rule.flat]
        tables = {name: self.table(name) for name, rule in rules.items() if rule.flat and self.has_table(name)}
        sources = self.sources
        for row in rows:
            arrays: dict[str, Array] | None = None
            if self.present[row]:
                arrays = self.arrays(self.ids[row], row, own)
                arrays |= {name: table[row] for name, table in tables.items() if not np.isnan(table[row]).any()}
            yield ClipRecord(self.ids[row], sources[row], arrays)

    def _read(self, name: str, row: int | None = None) -> Array:
        """Read an array, or one row of it, after making sure that it lies in this very file and needs no foreign code.

        HDF5's own interface is used without h5py's comforts, which cost more than the reading does.
        """
        with self._explained(name):
            self._check_own(name)
            data = h5py.h5d.open(self._file.id, name.encode())
            self._check_storage(name, data.get_create_plist())
            self._check_type(name, data)
            shape = data.shape if row is None else data.shape[1:]
            array = np.empty(shape, data.dtype)
            if array.size == 0:
                return array
            space = data.get_space()
            if row is not None:
                space.select_hyperslab((row, *(0 for _ in shape)), (1, *shape))
            data.read(h5py.h5s.create_simple(shape) if shape else h5py.h5s.ALL, space, array)
            return array

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn HDF5's errors while reading into one that names file and array."""
        try:
            yield
        except ShardInvalidError:
            raise
        except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
            raise ShardInvalidError(f"{self.path}: {name} cannot be read ({error}); run sadgr-cache verify") from error

    def _check_own(self, name: str) -> None:
        """Refuse a name that a link other than a hard one is part of."""
        links = self._file.id.links
        parts = name.split("/") if name else []
        for depth in range(1, len(parts) + 1):
            if links.get_info("/".join(parts[:depth]).encode()).type != h5py.h5l.TYPE_HARD:
                raise ShardInvalidError(f"{self.path}: {name} links elsewhere; such a file is refused")

    def _check_type(self, name: str, data: h5py.h5d.DatasetID) -> None:
        """Refuse another type or rank than a shard has there."""
        if name in _TABLES:
            kind, ndim = _TABLES[name]
        else:
            rule = ARRAYS[self.modality][name.rpartition("/")[2]]
            kind, ndim = "S" if rule.dtype == "str" else rule.dtype, rule.ndim + rule.flat
        found = data.dtype
        if len(data.shape) != ndim or not (found.kind == "S" if kind == "S" else found == np.dtype(kind)):
            raise ShardInvalidError(
                f"{self.path}: {name} is {data.shape} of {found}, which no shard has there; refused"
            )

    def _check_storage(self, name: str, properties: h5py.h5p.PropDCID) -> None:
        """Refuse data that lie in another file, or that only foreign code could decode."""
        filters = {properties.get_filter(place)[0] for place in range(properties.get_nfilters())}
        elsewhere = properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count() > 0
        if elsewhere or filters - {h5py.h5z.FILTER_FLETCHER32}:
            raise ShardInvalidError(
                f"{self.path}: {name} keeps its data elsewhere or needs a filter that no shard uses; refused"
            )


def _text(stored: Array) -> Array:
    return np.array([one.decode("utf-8") for one in stored.tolist()], dtype=str)  # text, also where there is none
