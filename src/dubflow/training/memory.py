"""Freed memory stays with the process, so that the next step need not ask the system for it again.

glibc gives large blocks back as soon as they are freed and the kernel fills every page anew when they are asked for
again: a step of training on a processor, whose tensors are large and short-lived, spends much of its time so.
Measured on stage 1 of ``tiny`` in fp32, a thread, 16 clips: 96,000 page faults and 0.32 s of system time in a step of
1.9 s without this, 14,000 and 0.11 s with it, for 5 % more memory at the peak.
"""

from __future__ import annotations

import ctypes
import sys

# Names and values of <malloc.h>; mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed, for the rest of this process; False where the C library is another."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    no_block_of_its_own = library.mallopt(_M_MMAP_MAX, 0)
    never_shrink = library.mallopt(_M_TRIM_THRESHOLD, -1)
    return bool(no_block_of_its_own and never_shrink)
