"""Keeps freed memory in the process, so that every forward pass does not ask the kernel for it again.

glibc hands large blocks back to the kernel as soon as they are freed. A network frees and asks for the
same tens of megabytes at every layer, and each time the kernel has to clear the pages anew: on a CPU
this can cost more than the arithmetic (`benchmarks/scoring.py` prints what it costs here). Three settings
of glibc's malloc keep the pages:

    M_MMAP_MAX = 0              no block gets a mapping of its own that dies with it
    M_TRIM_THRESHOLD = largest  the heap is not given back from its end
    M_ARENA_MAX = 1             threads share the one heap that is kept; heaps of threads are given back whatever is set

The price: a process keeps its largest size until it ends. Elsewhere than on Linux with glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import platform
import sys

M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
M_ARENA_MAX = -8
LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Set glibc's malloc to keep what is freed; returns whether it was done. Call before the first tensor."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    mallopt.restype = ctypes.c_int
    done = [mallopt(name, value) == 1 for name, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, LARGEST), (M_ARENA_MAX, 1))]
    return all(done)
