"""The staging folder: new files of a folder grow in it, and move to their places when whole.

It lies in the folder that is pulled, for its own user alone. What a run that was killed has left
there is found by the next one, which goes on with it: a file has the same name in each run.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from blake3 import blake3

from casync.errors import WriteError
from casync.fs.beneath import FOLDER, open_child
from casync.fs.cursor import look
from casync.fs.os_errors import writing
from casync.fs.removal import remove

__all__ = ["STAGING", "Staging", "staged_name"]

STAGING: Final = b".casync-part"
"""Its name. No tree that is pulled may have it at its root."""

_NAME_BYTES: Final = 16
_INHERITED: Final = ("system.posix_acl_default", "system.posix_acl_access")


def staged_name(path: bytes) -> bytes:
    """What the file that shall lie at `path` is called meanwhile."""
    return blake3(path).hexdigest(length=_NAME_BYTES).encode()


class Staging:
    """The staging folder of one pull, made or found.

    Args:
        root: The open folder that is pulled; locked, so that nobody else uses this one.
        path: Its path, for people.

    Attributes:
        fd: The staging folder, open.
        resumed: Whether an earlier run left something in it.

    Raises:
        WriteError: It cannot be made, or something that is not ours has its name.
    """

    def __init__(self, root: int, path: Path) -> None:
        self._root = root
        self._path = path
        with writing(path):
            self.fd = self._open()
            self.resumed = self._reopen()
            for name in _INHERITED:  # else files in it would inherit what nobody asked for
                with suppress(OSError):
                    os.removexattr(self.fd, name)

    def thing(self, name: bytes) -> bytes:
        """A path through the open folder to one of its files."""
        return b"/proc/self/fd/%d/%s" % (self.fd, name)

    def fresh_name(self, path: bytes) -> bytes:
        """A name in it that is free, for what goes to `path` and is not written piece by piece.

        Raises:
            OSError: It is not free, and cannot be made so.
        """
        name = staged_name(path) + b".new"
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)
        return name

    def remove(self) -> None:
        """Removes it with everything in it. May be called again.

        Raises:
            WriteError: It cannot be removed.
        """
        with writing(self._path):
            remove(self._root, STAGING)

    def close(self) -> None:
        """Lets go of it. What is in it stays for the next run."""
        if self.fd >= 0:
            with suppress(OSError):  # it is not empty, or removed already
                os.rmdir(STAGING, dir_fd=self._root)
            os.close(self.fd)
            self.fd = -1

    def _open(self) -> int:
        with suppress(FileExistsError):
            os.mkdir(STAGING, 0o700, dir_fd=self._root)
        try:
            fd = open_child(self._root, STAGING, FOLDER)
        except OSError as error:
            raise self._in_the_way(error.strerror or str(error)) from error
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            os.close(fd)
            raise self._in_the_way("it is open to others")
        return fd

    def _reopen(self) -> bool:
        """Whether an earlier run left files here that this one can go on with.

        They may have their modes already. Links and further names are let go: what is done to them
        would be done to others.
        """
        found = False
        for name in map(os.fsencode, os.listdir(self.fd)):
            status = look(self.fd, name)
            if status is None or stat.S_ISDIR(status.st_mode):
                continue
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                os.chmod(name, 0o600, dir_fd=self.fd)
                found = True
            else:
                os.unlink(name, dir_fd=self.fd)
        return found

    def _in_the_way(self, reason: str) -> WriteError:
        where = self._path / os.fsdecode(STAGING)
        return WriteError(f"{where} is no staging folder of ours: {reason}", next_step="Move it.")
