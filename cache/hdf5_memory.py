"""How much HDF5 holds of an open shard's structure: groups, links and headers of data sets, not the data themselves."""

import h5py

STRUCTURE_BYTES = 32 * 2**10
"""Enough for the way from a shard's root to any clip. HDF5's own bound is 2 MB, which counts what stands in the file; in memory it is
twenty times as much: 40 MB of each shard that a reader keeps open, of headers that are read once. No read was faster for it."""


def bound_structure(file: h5py.File) -> None:
    """Keep HDF5 from holding more than `STRUCTURE_BYTES` of a shard's structure.

    Args:
        file: just opened, for reading or writing.
    """
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size = config.min_size = config.max_size = STRUCTURE_BYTES
    config.incr_mode = config.flash_incr_mode = config.decr_mode = 0  # it stays at that
    file.id.set_mdc_config(config)
