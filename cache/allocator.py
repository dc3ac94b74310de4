"""What malloc does with the memory of large arrays that were freed; extraction and training on a CPU set it alike."""

import ctypes
import sys

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_NEVER = 2**31 - 1
_LARGEST_KEPT_BYTES = 2**27
"""Layers' outputs for a batch of pictures or some seconds of sound. Those of long recordings are given back."""


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next arrays, instead of giving it back to the system each time.

    A layer's output is tens of megabytes. glibc maps so much anew for every one, and the kernel fills it with zeros page by
    page: a tenth of ViT-B/16 and HuBERT-base, a fifth of a training step (`make bench-extract`, `make bench-train`). Call it
    before threads begin, since a thread stays with the arena that it began with.

    Returns:
        Whether it took effect; False where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = {_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: _LARGEST_KEPT_BYTES, _M_TRIM_THRESHOLD: _NEVER}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
