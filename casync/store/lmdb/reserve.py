"""Disk space that a store reserves, so that removing and collecting work on a full disk.

LMDB changes a page by writing another one, and reuses freed pages only two transactions later, so
even a deletion needs some space. The reserve consists of blocks behind the end of the data file,
which are allocated and do not count as its length.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

from casync.limits import MIB

__all__ = ["RESERVE_BYTES", "hold_space"]

RESERVE_BYTES: Final = MIB
"""Several times what a removal and the first steps of a collection write."""

_KEEP_SIZE: Final = 1


def hold_space(path: Path, start: int) -> bool:
    """Allocates blocks of a file from `start` on, as far as there is space.

    `posix_fallocate` is unsuitable: it extends the file, and where a file system cannot allocate it
    writes to blocks that another process may be writing to.

    Returns:
        Whether all of the reserve is allocated now.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        place = ctypes.c_int64(start), ctypes.c_int64(RESERVE_BYTES)
        return bool(ctypes.CDLL(None).fallocate64(fd, _KEEP_SIZE, *place) == 0)
    except AttributeError:  # the C library lacks it
        return False
    finally:
        os.close(fd)
