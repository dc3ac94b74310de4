"""Opening an HDF5 file from elsewhere without following where it may point."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from sadgr.cache.errors import CacheError, RefusedValueError
from sadgr.cache.schema import Array

_OWN_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
"""Filters that HDF5 itself brings; any other is foreign code, loaded from a plugin folder."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading, without locks; HDF5's errors while it is open name the file.

    Raises:
        CacheError: it cannot be opened or read.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except RefusedValueError as error:
        raise RefusedValueError(f"{path}: {error}") from error
    except (OSError, RuntimeError, KeyError) as error:
        raise CacheError(f"{path} cannot be read as HDF5: {error}") from error


def child(group: h5py.Group, name: str, kind: type) -> h5py.Group | h5py.Dataset:
    """Return what stands under a name in a group, of the kind that is expected there.

    Raises:
        RefusedValueError: missing, of another kind, or a link that leads elsewhere.
    """
    where = f"{group.name.rstrip('/')}/{name}"
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise RefusedValueError(f"{where} is missing or links elsewhere; links are refused")
    found = group[name]
    if not isinstance(found, kind):
        raise RefusedValueError(f"{where} is no {kind.__name__.lower()}, as is expected there")
    return found


def read(group: h5py.Group, name: str) -> Array:
    """Return a whole data set.

    Raises:
        RefusedValueError: see `child`; or its data stand in other files, or need a foreign filter.
    """
    found = child(group, name, h5py.Dataset)
    properties = found.id.get_create_plist()
    filters = {properties.get_filter(place)[0] for place in range(properties.get_nfilters())}
    if found.is_virtual or found.external or filters - _OWN_FILTERS:
        raise RefusedValueError(
            f"{found.name} keeps its data elsewhere or needs a filter that is not HDF5's own; refused"
        )
    return np.asarray(found[()])
