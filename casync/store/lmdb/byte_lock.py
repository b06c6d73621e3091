"""Locks on single bytes of a store's lock file: the kernel knows which holders are alive.

A byte is locked by an open file description and freed when that is closed, however its process
ends; so no lock is ever stale. The bytes need not exist in the file. Independent of the `flock` on
the same file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from casync.store.lmdb.lock_files import LOCK_FILE

__all__ = [
    "COLLECTOR_BYTE",
    "FETCH_BYTES",
    "JOB_BYTES",
    "LOAD_BYTE",
    "OPEN_BYTE",
    "WRITER_BYTES",
    "ByteLocks",
]

COLLECTOR_BYTE: Final = 0
"""The byte that a collection locks."""

WRITER_BYTES: Final = range(1, 2**61 + 1)
"""Bytes for the sessions of writers, each of which chooses one at random."""

JOB_BYTES: Final = range(2**61 + 1, 2**62 + 1)
"""Bytes for jobs, each locked by the job's runner. Early programs let writers choose these, too,
one in 2 ** 61 of which is that of a given job."""

OPEN_BYTE: Final = 2**62 + 1
"""The byte that every opener of the store shares, and that a compaction locks exclusively."""

LOAD_BYTE: Final = OPEN_BYTE + 1
"""The byte that a process locks while it brings the tables of a bucket over many rows."""

FETCH_BYTES: Final = range(LOAD_BYTE + 1, 2**63 - 1)
"""Bytes for the ids of objects, each locked while its holder fetches the object for the store."""

_FLOCK: Final = struct.Struct("hhqqi")  # type, whence, start, length, pid
_HELD: Final = frozenset({errno.EAGAIN, errno.EACCES})


class ByteLocks:
    """The locks of one holder on bytes of the lock file of the store in `path`.

    Args:
        path: The store's folder.
        read_only: Only for `is_taken`; the file is not created.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
        self._fd = os.open(path / LOCK_FILE, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def take(self, number: int) -> bool:
        """Locks a byte exclusively; False if another holder has it."""
        return self._try(fcntl.F_WRLCK, number)

    def share(self, number: int) -> bool:
        """Locks a byte shared; False if another holder has it exclusively."""
        return self._try(fcntl.F_RDLCK, number)

    def _try(self, lock: int, number: int) -> bool:
        try:
            self._call(fcntl.F_OFD_SETLK, lock, number)
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise
        return True

    def free(self, number: int) -> None:
        """Frees a byte."""
        self._call(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, number)

    def wait(self, number: int) -> None:
        """Waits until no other holder has a byte exclusively. The byte is free afterwards."""
        self._call(fcntl.F_OFD_SETLKW, fcntl.F_RDLCK, number)
        self.free(number)

    def is_taken(self, number: int) -> bool:
        """Whether another holder has locked a byte."""
        return self._call(fcntl.F_OFD_GETLK, fcntl.F_WRLCK, number) != fcntl.F_UNLCK

    def close(self) -> None:
        """Frees all bytes. May be called again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _call(self, command: int, lock: int, number: int) -> int:
        asked = _FLOCK.pack(lock, os.SEEK_SET, number, 1, 0)
        return int(_FLOCK.unpack(fcntl.fcntl(self._fd, command, asked))[0])
