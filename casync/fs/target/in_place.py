"""An existing file or block device as a target, overwritten only where it differs."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Sequence
from typing import Self

from casync.errors import LockedError, WriteError
from casync.fs.extents import read_range, write_range, zero_range
from casync.fs.identity import FileIdentity, identity_of
from casync.fs.lock import lock, lock_device, refuse_foreign_locks
from casync.fs.os_errors import no_space, reading, writing
from casync.fs.target.place import TargetPlace
from casync.ids import Buffer

__all__ = ["InPlaceFile"]


class InPlaceFile:
    """A sink (`casync.fs.target.base.Sink`) on an existing file or device.

    A file gets its new length at the end, so its old bytes are readable until then. A device keeps
    the bytes after the content.

    Args:
        place: The target.
        length: Plain bytes of the new content.

    Raises:
        LockedError: Another process writes to it or uses it.
        NoSpaceError: The device is too small, or a file may not be that large.
        WriteError: It cannot be opened, or was replaced since it was inspected.
    """

    resumed = True
    readable = True
    discards = False

    def __init__(self, place: TargetPlace, length: int) -> None:
        self.length = length
        self._path = place.path
        self._is_device = place.is_device
        self._exclusive_fd = -1
        with writing(place.path, length):
            self._fd = self._open()
            try:
                self._take(place)
                self._old_length = os.lseek(self._fd, 0, os.SEEK_END)
                self._check_room()
            except BaseException:
                self.close()
                raise

    @property
    def allocated(self) -> int:
        """Bytes that the file occupies now; the size of a device."""
        if self._is_device:
            return self._old_length
        return os.fstat(self._fd).st_blocks * 512

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at `offset`, old or new; fewer at the end.

        Bytes beyond the current end, but within the content's length, read as zeros.
        """
        with reading(self._path):
            data = read_range(self._fd, offset, length)
        if len(data) < length and offset + len(data) < self.length:
            data += bytes(min(length, self.length - offset) - len(data))
        return data

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Writes consecutive buffers from `offset` on."""
        with writing(self._path, self.length):
            write_range(self._fd, offset, buffers)

    def zero(self, offset: int, length: int) -> None:
        """Makes a range read as zeros; leaves existing zeros alone."""
        with writing(self._path, self.length):
            zero_range(self._fd, offset, length)

    def settle(self, end: int) -> None:
        """Does nothing: every write is immediate."""

    def commit(self) -> list[str]:
        """Makes the content durable. Returns no notes."""
        with writing(self._path, self.length):
            if not self._is_device:
                os.ftruncate(self._fd, self.length)
            os.fsync(self._fd)
        return []

    def identity(self) -> FileIdentity:
        """The identity of the target now."""
        return identity_of(os.fstat(self._fd))

    def close(self) -> None:
        """Closes the target."""
        for fd in (self._exclusive_fd, self._fd):
            if fd >= 0:
                os.close(fd)
        self._exclusive_fd = self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in {errno.EBUSY, errno.ETXTBSY}:
                raise
            raise LockedError(f"{self._path} is in use") from error

    def _take(self, place: TargetPlace) -> None:
        status = os.fstat(self._fd)
        seen = place.existing
        if seen is None or (status.st_dev, status.st_ino) != (seen.device, seen.inode):
            raise WriteError(f"{self._path} was replaced by another file meanwhile")
        if self._is_device:
            self._exclusive_fd = lock_device(self._fd, self._path)
        else:
            refuse_foreign_locks(self._fd, self._path)
            lock(self._fd, self._path)

    def _check_room(self) -> None:
        if self._is_device:
            if self._old_length < self.length:
                raise no_space(self._path, self.length, self._old_length)
            return
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if resource.RLIM_INFINITY != limit < self.length:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
