"""What malloc does with the memory of large arrays that were freed; extraction and training on a CPU set it alike."""

import ctypes
import sys

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGEST_KEPT_BYTES = 2**27
"""Layers' outputs for a batch of pictures or some seconds of sound; those of long recordings are given back. Left alone, glibc
keeps 32 MB; its older versions refuse more."""
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next arrays, instead of giving it back to the system each time.

    A layer's output is tens of megabytes. glibc maps so much anew for every one, and the kernel fills it with zeros page by
    page: a tenth of ViT-B/16 and HuBERT-base, a fifth of a training step. In return the process holds what it once needed until
    it ends (hours of sound: a peak 7 % higher, of which four fifths stay): commands and their workers call this, no library function.
    It has to come first: a thread that has taken memory before goes on as it did.

    Returns:
        Whether it took effect; False where the C library is not glibc or refuses.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    return mallopt is not None and bool(
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        and mallopt(_M_TRIM_THRESHOLD, _NEVER)
        and mallopt(_M_ARENA_MAX, 1)
    )
