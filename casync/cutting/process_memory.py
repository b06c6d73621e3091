"""The memory of this process, for programs that free and want the same amounts again and again.

glibc hands freed memory back to the system early; every page of it that is wanted again costs a
fault and is cleared anew. Must only be called by programs: to the process of somebody who imports
this library it is not ours to do that.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

from casync.limits import MIB

__all__ = ["collect_rarely", "keep_freed_memory"]

_KEPT_BYTES: Final = 64 * MIB
"""What may lie free: a commit's payloads. Nothing that is allocated at once is larger."""

_OBJECTS_BETWEEN_COLLECTIONS: Final = 50_000

_TRIM_THRESHOLD: Final = -1  # malloc.h
_MMAP_THRESHOLD: Final = -3
_LARGEST_MMAP_THRESHOLD: Final = 32 * MIB  # more is refused


def keep_freed_memory() -> None:
    """Lets the process keep what it frees, up to a bound. Does nothing where there is no glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)


def collect_rarely() -> None:
    """Lets Python look for cycles less often, and never in what is loaded by now.

    Records of chunks come by the hundred thousand, and nothing in them refers back.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
