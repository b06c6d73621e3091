"""The two lock files of a store: casync's own and LMDB's."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from casync.limits import KIB

__all__ = ["LMDB_LOCK_FILE", "LOCK_FILE", "locked", "make_lock_file"]

LOCK_FILE: Final = "store.lock"
"""Held (flock) while a store is created or its map grows. LMDB has a lock file of its own."""

LMDB_LOCK_FILE: Final = "lock.mdb"
_LMDB_LOCK_BYTES: Final = 128 * KIB  # 64 for each of 1024 readers, and a header


def make_lock_file(path: Path) -> None:
    """Makes LMDB's lock file in the folder `path`, fully allocated, unless there is one.

    LMDB makes a sparse one and writes to it through a map; on a full disk that kills the process.

    Raises:
        OSError: The folder cannot be written, or has no space.
    """
    if (path / LMDB_LOCK_FILE).exists():
        return
    aside = path / f"{LMDB_LOCK_FILE}.new"  # reused if a killed process left it
    with locked(path):
        if (path / LMDB_LOCK_FILE).exists():  # another process was faster
            return
        fd = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(fd, 0, _LMDB_LOCK_BYTES)
            os.rename(aside, path / LMDB_LOCK_FILE)
        except OSError:
            aside.unlink()
            raise
        finally:
            os.close(fd)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the store's own lock against other processes.

    Raises:
        OSError: The lock file cannot be written.
    """
    fd = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
