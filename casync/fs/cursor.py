"""A cursor: a position on disk that moves from folder to folder, as a tree walk does.

Folders on the path stay open, except those far above; these are reopened from the root, never
through links. Where a folder is missing, the cursor moves on without one.
"""

from __future__ import annotations

import os
import stat
from typing import Final, Self

from casync.fs.beneath import FOLDER, open_beneath, open_child
from casync.fs.rights import open_up

__all__ = ["Cursor", "look"]

_OPEN_FOLDERS: Final = 64
_SHUT: Final = -1
_NOWHERE: Final = -2


def look(folder: int, name: bytes) -> os.stat_result | None:
    """The status of an entry of an open folder, without following links; None if it is missing.

    Raises:
        OSError: It cannot be read.
    """
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


class Cursor:
    """Starts in the root. A context manager: leaving it closes its folders.

    Args:
        root: An open folder, which stays open; None if there is no folder.
        opens_up: Give ourselves all rights on folders of ours that are entered.

    Attributes:
        opened: Path and former mode of each folder whose mode was changed for that.
    """

    def __init__(self, root: int | None, *, opens_up: bool = False) -> None:
        self.opened: list[tuple[bytes, int]] = []
        self._opens_up = opens_up
        self._names: list[bytes] = []
        self._fds = [_NOWHERE if root is None else root]

    @property
    def is_somewhere(self) -> bool:
        """Whether there is a folder at this position."""
        return self._fds[-1] != _NOWHERE

    @property
    def path(self) -> bytes:
        """The position as a path from the root."""
        return b"/".join(self._names)

    @property
    def fd(self) -> int:
        """The folder's descriptor, open until the cursor leaves the folder.

        Raises:
            OSError: It can no longer be opened.
        """
        if self._fds[-1] == _SHUT:
            self._fds[-1] = open_beneath(self._fds[0], self.path, FOLDER)
        return self._fds[-1]

    def look(self, name: bytes) -> os.stat_result | None:
        """The status of an entry; None if it is missing.

        Raises:
            OSError: It cannot be read.
        """
        return look(self.fd, name) if self.is_somewhere else None

    def names(self) -> list[bytes]:
        """All names in this folder, sorted.

        Raises:
            OSError: The folder cannot be listed.
        """
        return sorted(map(os.fsencode, os.listdir(self.fd))) if self.is_somewhere else []

    def enter(self, name: bytes) -> None:
        """Moves into the folder `name`. If `name` is not a folder, there is no folder here.

        Raises:
            OSError: The folder cannot be opened.
        """
        status = self.look(name)
        fd = _NOWHERE
        if status is not None and stat.S_ISDIR(status.st_mode):
            if self._opens_up and (mode := open_up(self.fd, name)) is not None:
                self.opened.append((b"/".join([*self._names, name]), mode))
            fd = open_child(self.fd, name, FOLDER)
        self._names.append(name)
        self._fds.append(fd)
        far = len(self._fds) - _OPEN_FOLDERS
        if far > 0 and self._fds[far] >= 0:
            os.close(self._fds[far])
            self._fds[far] = _SHUT

    def leave(self) -> None:
        """Moves back to the folder above."""
        self._names.pop()
        fd = self._fds.pop()
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while len(self._fds) > 1:
            self._names.pop()
            fd = self._fds.pop()
            if fd >= 0:
                os.close(fd)
