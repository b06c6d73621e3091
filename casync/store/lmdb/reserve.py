"""Disk space that a store holds ready, so that removing and collecting work on a full disk.

LMDB changes a page by writing another one, and takes over freed pages only two transactions later,
so even a deletion needs a little room. It gets it in blocks behind the end of the data file, which
are allocated beforehand and do not count as its length.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

from casync.limits import MIB

__all__ = ["RESERVE_BYTES", "hold_space"]

RESERVE_BYTES: Final = MIB
"""What a removal and the first steps of a collection write, several times over."""

_KEEP_SIZE: Final = 1


def hold_space(path: Path, start: int) -> bool:
    """Allocates the blocks of a file from `start` on, as far as there is room.

    Not `posix_fallocate`, which would lengthen the file, and which, where a file system cannot
    allocate, writes to blocks that another process may just be writing to.

    Returns:
        Whether it holds all of them now.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        place = ctypes.c_int64(start), ctypes.c_int64(RESERVE_BYTES)
        return bool(ctypes.CDLL(None).fallocate64(fd, _KEEP_SIZE, *place) == 0)
    except AttributeError:  # a C library without it
        return False
    finally:
        os.close(fd)
