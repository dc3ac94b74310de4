"""Reading one shard, trusting nothing that an HDF5 file from elsewhere could do."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from sadgr.cache.errors import ShardGoneError, ShardInvalidError
from sadgr.cache.ids import escape
from sadgr.cache.schema import ARRAYS, Array
from sadgr.cache.shard import read_header


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
        except FileNotFoundError as error:
            raise ShardGoneError(f"{path} is gone") from error
        except OSError as error:
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
        return [value.decode("utf-8") for value in self._read("ids")]

    @cached_property
    def sources(self) -> list[str]:
        """Source digest of each clip."""
        return [value.decode("ascii") for value in self._read("sources")]

    @cached_property
    def present(self) -> Array:
        """(n,) bool, whether each clip has the modality."""
        return self._read("present").astype(bool)

    def has_table(self, name: str) -> bool:
        """Whether the shard holds this table or array, or something else in its place."""
        group, _, leaf = name.rpartition("/")
        parent = self._group(group) if group else self._file
        return parent.get(leaf, getlink=True, default=None) is not None

    def table(self, name: str) -> Array:
        """Return a flat table, (n, D) in its stored type; rows of absent clips are NaN."""
        return self._read(name)

    def arrays(self, clip_id: str, row: int) -> dict[str, Array]:
        """Return the arrays, in their stored types, of a clip that has the modality.

        Args:
            clip_id: the clip.
            row: its row in the tables.
        """
        arrays: dict[str, Array] = {}
        group = f"clips/{escape(clip_id)}"
        for name, rule in ARRAYS[self.modality].items():
            if rule.flat:
                if self.has_table(name) and not np.isnan(vector := self._row(name, row)).any():
                    arrays[name] = vector
            elif self.has_table(f"{group}/{name}"):
                stored = self._read(f"{group}/{name}")
                arrays[name] = np.array([t.decode("utf-8") for t in stored]) if rule.dtype == "str" else stored
            elif rule.required:
                raise ShardInvalidError(f"{self.path}: {group}/{name} is missing; such a file is refused")
        return arrays

    def _row(self, name: str, row: int) -> Array:
        with self._explained(name):
            return np.asarray(self._dataset(name)[row])

    def _read(self, name: str) -> Array:
        with self._explained(name):
            return np.asarray(self._dataset(name)[()])

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn HDF5's errors while reading into one that names file and array."""
        try:
            yield
        except (OSError, KeyError, RuntimeError, UnicodeDecodeError) as error:
            raise ShardInvalidError(f"{self.path}: {name} cannot be read ({error}); run sadgr-cache verify") from error

    def _group(self, name: str) -> h5py.Group:
        """Return a group after making sure that it lies in this very file."""
        group = self._file
        for part in name.split("/"):
            group = self._own(group, part, name)
            if not isinstance(group, h5py.Group):
                raise ShardInvalidError(f"{self.path}: {name} is not where a shard has it")
        return group

    def _own(self, group: h5py.Group, part: str, name: str) -> h5py.Group | h5py.Dataset:
        """Return what a hard link in a group leads to; any other link is refused."""
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ShardInvalidError(f"{self.path}: {name} is missing or links elsewhere; such a file is refused")
        return group[part]

    def _dataset(self, name: str) -> h5py.Dataset:
        """Return a data set after making sure that it lies in this very file and needs no foreign code."""
        group, _, leaf = name.rpartition("/")
        found = self._own(self._group(group) if group else self._file, leaf, name)
        if not isinstance(found, h5py.Dataset):
            raise ShardInvalidError(f"{self.path}: {name} is not where a shard has it")
        properties = found.id.get_create_plist()
        filters = {properties.get_filter(place)[0] for place in range(properties.get_nfilters())}
        if found.is_virtual or found.external or filters - {h5py.h5z.FILTER_FLETCHER32}:
            raise ShardInvalidError(
                f"{self.path}: {name} keeps its data elsewhere or needs a filter that no shard uses; refused"
            )
        return found
