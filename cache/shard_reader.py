"""Reading one shard, trusting nothing that an HDF5 file from elsewhere could do."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from sadgr.cache.errors import ShardInvalidError
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
        """Whether the shard holds this flat table."""
        return name in self._file

    def table(self, name: str) -> Array:
        """Return a flat table, (n, D) in its stored type; rows of absent clips are NaN."""
        return self._read(name)

    def arrays(self, row: int) -> dict[str, Array] | None:
        """Return one clip's arrays in their stored types, or None when the clip lacks the modality."""
        if not self.present[row]:
            return None
        arrays: dict[str, Array] = {}
        for name, rule in ARRAYS[self.modality].items():
            if rule.flat:
                if self.has_table(name) and not np.isnan(vector := self._row(name, row)).any():
                    arrays[name] = vector
            else:
                stored = self._read(f"clips/{escape(self.ids[row])}/{name}")
                arrays[name] = np.array([t.decode("utf-8") for t in stored]) if rule.dtype == "str" else stored
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

    def _dataset(self, name: str) -> h5py.Dataset:
        """Return a data set after making sure that it lies in this very file and needs no foreign code."""
        group = self._file
        parts = name.split("/")
        for depth, part in enumerate(parts):
            link = group.get(part, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ShardInvalidError(f"{self.path}: {name} is missing or links elsewhere; such a file is refused")
            group = group[part]
            if (depth == len(parts) - 1) != isinstance(group, h5py.Dataset):
                raise ShardInvalidError(f"{self.path}: {name} is not where a shard has it")
        properties = group.id.get_create_plist()
        filters = {properties.get_filter(place)[0] for place in range(properties.get_nfilters())}
        if group.is_virtual or group.external or filters - {h5py.h5z.FILTER_FLETCHER32}:
            raise ShardInvalidError(
                f"{self.path}: {name} keeps its data elsewhere or needs a filter that no shard uses; refused"
            )
        return group
