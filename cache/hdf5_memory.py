"""How much HDF5 holds of an open shard's structure: groups, links and headers of data sets, not the data themselves."""

import h5py

PART_OF_FILE = 64
LEAST_BYTES, MOST_BYTES = 32 * 2**10, 512 * 2**10
"""Of a shard that is read."""
WRITING_BYTES = 256 * 2**10
"""Of one that is written; with 1 MB and more it takes longer."""


def structure_bytes(file_bytes: int) -> int:
    """Return how much HDF5 is to hold of a shard's structure.

    HDF5's own bound is 2 MB, which counts what stands in the file; of small data sets' headers it takes twenty times as much of
    memory, and 40 MB were held of a shard of 4,096 clips' word times, in each of the shards that a reader keeps open. What is
    needed is the way from the root to any clip, which grows with the number of clips: with too little, names are read again for each
    (16,000 clips in 32 KiB: 0.25 ms a clip instead of 0.13, and 200 kB).
    """
    return min(max(file_bytes // PART_OF_FILE, LEAST_BYTES), MOST_BYTES)


def bound_structure(file: h5py.File, bound: int) -> None:
    """Keep HDF5 from holding more of a file's structure.

    Args:
        file: just opened, for reading or writing.
        bound: bytes.
    """
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size = config.min_size = config.max_size = bound
    config.incr_mode = config.flash_incr_mode = config.decr_mode = 0  # it stays at that
    file.id.set_mdc_config(config)
