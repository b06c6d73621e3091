"""Files of a folder that are not finished: `.writing/` in it, with the lock for replacing files.

A file is written there under a name of its own, made durable, and then renamed to its place. Its
writer holds a lock on it, which the kernel frees when the writer dies. So what a killed writer left
is told from what others are writing, whatever its age, and removed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

from casync.fs.beneath import FOLDER, open_child
from casync.limits import MIB

__all__ = ["FOLDER_NAME", "UnfinishedFiles"]

FOLDER_NAME: Final = b".writing"

_LOCK: Final = b"lock"
_FIRST: Final = b"new-"
"""First letters of the names of unfinished files."""

_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK_BYTES: Final = MIB


class UnfinishedFiles:
    """`.writing/` in an open folder. Closed by `close`; safe for one thread.

    Args:
        root: The open folder.

    Raises:
        OSError: It cannot be opened or made.
    """

    def __init__(self, root: int) -> None:
        with suppress(FileExistsError):
            os.mkdir(FOLDER_NAME, dir_fd=root)
        self._folder = open_child(root, FOLDER_NAME, FOLDER)

    def close(self) -> None:
        """Closes the folder."""
        os.close(self._folder)

    @contextmanager
    def writing(self, data: bytes | BinaryIO) -> Iterator[bytes]:
        """Writes a file durably; gives its name. It is removed afterwards if it is still here."""
        name, fd = self._make()
        try:
            with open(fd, "wb", closefd=False) as file:
                if isinstance(data, bytes):
                    file.write(data)
                else:
                    data.seek(0)
                    shutil.copyfileobj(data, file, _BLOCK_BYTES)
            os.fsync(fd)
            yield name
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._folder)
            os.close(fd)

    def move(self, name: bytes, folder: int, to: bytes) -> None:
        """Renames a file to its place, where it replaces another one."""
        os.rename(name, to, src_dir_fd=self._folder, dst_dir_fd=folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Waits until no other thread or process replaces files, and keeps them from it."""
        fd = os.open(_LOCK, _CREATE, 0o666, dir_fd=self._folder)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def sweep(self) -> None:
        """Removes what killed writers left."""
        for name in map(os.fsencode, os.listdir(self._folder)):
            if name.startswith(_FIRST):
                with suppress(BlockingIOError, FileNotFoundError):
                    self._remove_abandoned(name)

    def _remove_abandoned(self, name: bytes) -> None:
        fd = open_child(self._folder, name, os.O_RDWR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name, dir_fd=self._folder)
        finally:
            os.close(fd)

    def _make(self) -> tuple[bytes, int]:
        """Makes a file that is locked before others can take it for abandoned."""
        while True:
            name = _FIRST + secrets.token_hex(16).encode()
            fd = os.open(name, _CREATE | os.O_EXCL, 0o666, dir_fd=self._folder)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_nlink:
                    return name, fd
            except BlockingIOError:  # it is being swept
                pass
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
