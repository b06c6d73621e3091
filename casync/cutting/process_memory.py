"""Memory settings for processes that allocate and free the same amounts again and again.

glibc returns freed memory to the system early; each page that is used again then costs a fault and
is cleared anew. Only programs may call this: a library leaves the settings of its process alone.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

from casync.limits import MIB

__all__ = ["collect_rarely", "keep_freed_memory", "leave_all", "return_freed_memory"]

_KEPT_BYTES: Final = 64 * MIB
"""Freed memory that is kept: a commit's payloads. No single allocation is larger."""

_OBJECTS_BETWEEN_COLLECTIONS: Final = 50_000

_TRIM_THRESHOLD: Final = -1  # malloc.h
_MMAP_THRESHOLD: Final = -3
_MOST_ARENAS: Final = -8
_LARGEST_MMAP_THRESHOLD: Final = 32 * MIB  # more is refused


def keep_freed_memory() -> None:
    """Keeps freed memory, up to a bound, for all threads alike. Does nothing without glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MOST_ARENAS, 1)  # threads rarely allocate at once, and each would keep its own
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)


def return_freed_memory() -> None:
    """Returns freed memory to the system, wherever it lies. Does nothing without glibc.

    Takes some milliseconds. What is freed between other allocations is never returned otherwise.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def collect_rarely() -> None:
    """Makes Python look for cycles less often, and never in the objects that exist now.

    Records of chunks come by the hundred thousand and form no cycles.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


def leave_all() -> None:
    """Leaves all objects as they are until the process ends.

    Python looks for cycles several times on its way out, which takes a fifth of the CPU of a short
    command.
    """
    gc.freeze()
