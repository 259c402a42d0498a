"""A process that makes large arrays again and again keeps the memory that it frees.

The C library asks the kernel for every block of over 128 KiB anew and returns it when it is freed, so that each page
of every large array is a fault. Fixed thresholds keep such blocks in the heap: a third of a tick's time at a thousand
people and more. Elsewhere than on glibc nothing is changed.
"""

from __future__ import annotations

import ctypes
from typing import Final

__all__ = ["keep_memory"]

_M_TRIM_THRESHOLD: Final = -1  # of <malloc.h>
_M_MMAP_THRESHOLD: Final = -3
_BLOCK_BYTES_MAX: Final = 32 << 20  # the largest that mallopt takes
_KEPT_BYTES: Final = 64 << 20


def keep_memory() -> bool:
    """Have blocks of up to 32 MiB come from the heap, and the heap keep 64 MiB of free memory; whether that worked."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    blocks, heap = mallopt(_M_MMAP_THRESHOLD, _BLOCK_BYTES_MAX), mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    return bool(blocks == heap == 1)
