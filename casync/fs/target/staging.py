"""Staging folder: new files of a pulled folder grow in it, and move to their places when whole.

It lies in the pulled folder, and only its own user may enter it. The next run resumes what a killed
run has left there: a file has the same staged name in each run.
"""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from blake3 import blake3

from casync.errors import WriteError
from casync.fs.beneath import FOLDER, open_child
from casync.fs.cursor import look
from casync.fs.entries import Inside
from casync.fs.os_errors import writing
from casync.fs.removal import remove
from casync.fs.scan_cache import SETTLED_NS

__all__ = ["STAGING", "Moment", "Staging", "is_staging", "staged_name"]

STAGING: Final = b".casync-part"
"""Its name. A pulled tree may not have this name at its root."""

_NAME_BYTES: Final = 16
_NEW: Final = b".new"
_STAGED: Final = re.compile(rb"[0-9a-f]{%d}(\.new)?" % (2 * _NAME_BYTES))
_INHERITED: Final = ("system.posix_acl_default", "system.posix_acl_access")


_TICK_SECONDS: Final = 0.002
"""Half a tick of a kernel with 250 a second, the usual number."""

_MOST_TICKS: Final = 10
"""A clock that has not moved after so many counts whole seconds; no pull waits for it."""


class Moment(NamedTuple):
    """A time of the clock that a file system stamps its files with, in nanoseconds since 1970."""

    device: int
    ns: int

    def is_after(self, status: os.stat_result) -> bool:
        """Whether any change from this moment on changes a file's status.

        That is so if its last change has an earlier time. The clock of another file system may
        count in steps of 2 s.
        """
        latest = self.ns if status.st_dev == self.device else self.ns - SETTLED_NS
        return status.st_ctime_ns < latest


def _is_private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & 0o077


def staged_name(path: bytes) -> bytes:
    """The name in the staging folder of the file that belongs at `path`."""
    return blake3(path).hexdigest(length=_NAME_BYTES).encode()


def is_staging(folder: int, name: bytes, status: os.stat_result) -> bool:
    """Whether an entry is a staging folder that an interrupted pull has left behind.

    Args:
        folder: Descriptor of the folder that has the entry.
        name: The entry's name.
        status: The entry's status.
    """
    if name != STAGING or not stat.S_ISDIR(status.st_mode):
        return False
    try:
        fd = open_child(folder, name, FOLDER)
    except OSError:
        return True  # another user's: only its owner may enter a staging folder
    try:
        return all(_STAGED.fullmatch(inner) for inner in map(os.fsencode, os.listdir(fd)))
    finally:
        os.close(fd)


class Staging:
    """The staging folder of one pull, created or reopened.

    Args:
        root: The open folder that is pulled; locked, so no other pull uses its staging folder.
        path: Its path, for messages.

    Attributes:
        fd: The open staging folder.
        resumed: Whether an earlier run has left files in it.

    Raises:
        WriteError: It cannot be made, or its name is taken by something else.
    """

    def __init__(self, root: int, path: Path) -> None:
        self._root = root
        self._path = path
        with writing(path):
            self.fd = self._open()
            self.resumed = self._reopen()
            for name in _INHERITED:  # files must not inherit ACLs from the folder
                with suppress(OSError):
                    os.removexattr(self.fd, name)

    def thing(self, name: bytes) -> Inside:
        """One of its files."""
        return Inside(self.fd, name)

    def fresh_name(self, path: bytes) -> bytes:
        """A free name in it, for an entry that goes to `path` and is made in one step.

        Raises:
            OSError: The name cannot be freed.
        """
        name = staged_name(path) + _NEW
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)
        return name

    def moment(self) -> Moment:
        """A moment later than all changes in the folder up to now, if the clock ticks soon."""
        before = now = self._stamp()
        for _ in range(_MOST_TICKS):
            if now.ns > before.ns:
                break
            time.sleep(_TICK_SECONDS)
            now = self._stamp()
        return now

    def remove(self) -> None:
        """Removes it with everything in it. May be called again.

        Raises:
            WriteError: It cannot be removed.
        """
        with writing(self._path):
            remove(self._root, STAGING)

    def close(self) -> None:
        """Closes it. Its files stay for the next run; if it is empty, it is removed."""
        if self.fd >= 0:
            with suppress(OSError):  # it is not empty, or removed already
                os.rmdir(STAGING, dir_fd=self._root)
            os.close(self.fd)
            self.fd = -1

    def _stamp(self) -> Moment:
        """The time of a new file; 0 if none can be made."""
        try:
            name = self.fresh_name(b"")
            fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
            try:
                status = os.fstat(fd)
            finally:
                os.close(fd)
                os.unlink(name, dir_fd=self.fd)
        except OSError:
            return Moment(0, 0)
        return Moment(status.st_dev, status.st_ctime_ns)

    def _open(self) -> int:
        with suppress(FileExistsError):
            os.mkdir(STAGING, 0o700, dir_fd=self._root)
        try:
            fd = open_child(self._root, STAGING, FOLDER)
        except OSError as error:
            raise self._in_the_way(error.strerror or str(error)) from error
        if not _is_private(os.fstat(fd)) and self._keeps_modes():
            os.close(fd)
            raise self._in_the_way("other users may enter it")
        return fd

    def _keeps_modes(self) -> bool:
        """Whether a new folder belongs to us and has the mode that it was made with.

        On vfat, exfat, NTFS and CIFS all files have the owner and the mode of the mount.
        """
        name = STAGING + b"." + os.urandom(8).hex().encode()
        os.mkdir(name, 0o700, dir_fd=self._root)
        try:
            status = look(self._root, name)
        finally:
            os.rmdir(name, dir_fd=self._root)
        return status is None or _is_private(status)

    def _reopen(self) -> bool:
        """Prepares files of an earlier run; returns whether there are any to resume.

        Files may have their final modes already. Symbolic links and hard links are removed, since
        writing to them would change other files.
        """
        found = False
        for name in map(os.fsencode, os.listdir(self.fd)):
            status = look(self.fd, name)
            if status is None or stat.S_ISDIR(status.st_mode):
                continue
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                with suppress(OSError):  # the file system has no modes
                    os.chmod(name, 0o600, dir_fd=self.fd)
                found = True
            else:
                os.unlink(name, dir_fd=self.fd)
        return found

    def _in_the_way(self, reason: str) -> WriteError:
        where = self._path / os.fsdecode(STAGING)
        return WriteError(
            f"{where} is not a staging folder of this user: {reason}",
            next_step="Move it away, and run the command again.",
        )
