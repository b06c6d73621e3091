"""Locks on single bytes of a store's lock file: a kernel's word for who is alive.

A byte is locked by an open file description and freed when that is closed, however its process
ends; nothing is left behind that would have to be judged stale. Bytes need not exist in the file.
Works beside the `flock` on the same file, with which it has nothing to do.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from casync.store.lock_files import LOCK_FILE

__all__ = ["ByteLocks"]

_FLOCK: Final = struct.Struct("hhqqi")  # type, whence, start, length, pid
_HELD: Final = frozenset({errno.EAGAIN, errno.EACCES})


class ByteLocks:
    """The locks that one holder has on the bytes of the lock file of the store in `path`.

    Raises:
        OSError: The file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path / LOCK_FILE, flags, 0o600)

    def take(self, number: int) -> bool:
        """Locks a byte; False when another holder has it."""
        try:
            self._call(fcntl.F_OFD_SETLK, number)
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise
        return True

    def is_taken(self, number: int) -> bool:
        """Whether another holder has locked a byte."""
        return self._call(fcntl.F_OFD_GETLK, number) != fcntl.F_UNLCK

    def close(self) -> None:
        """Frees all of them. Harmless when closed."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _call(self, command: int, number: int) -> int:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
        return int(_FLOCK.unpack(fcntl.fcntl(self._fd, command, asked))[0])
