"""Paths by number, each kept as its last name and the number of its folder.

The files of a deep folder repeat nearly all of their paths; kept in full, those of a tree made for
that would fill any memory.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

__all__ = ["PathTable"]

_TOP = -1
"""Stands for the folder that all paths begin in."""


class _OpenFolder(NamedTuple):
    name: bytes
    number: int


class PathTable:
    """Paths in the order of a walk. One thread may add while others read.

    A path takes its last name and 16 bytes. So does each of its folders, once in a walk that goes
    through a folder in one piece.
    """

    def __init__(self) -> None:
        self._folders = array("q")
        self._ends = array("Q", [0])
        self._names = bytearray()
        self._open: list[_OpenFolder] = []  # those that lead to the last path
        self._open_path = b""

    def add(self, path: bytes) -> int:
        """Takes a path of names joined by `/`; returns its number."""
        folder, _, name = path.rpartition(b"/")
        if folder != self._open_path:
            self._enter(folder)
        return self._append(name)

    def __getitem__(self, number: int) -> bytes:
        names: list[bytes] = []
        while number != _TOP:
            names.append(bytes(self._names[self._ends[number] : self._ends[number + 1]]))
            number = self._folders[number]
        return b"/".join(reversed(names))

    def _enter(self, folder: bytes) -> None:
        names = folder.split(b"/") if folder else []
        shared = 0
        while shared < min(len(names), len(self._open)) and (
            names[shared] == self._open[shared].name
        ):
            shared += 1
        del self._open[shared:]
        for name in names[shared:]:
            self._open.append(_OpenFolder(name, self._append(name)))
        self._open_path = folder

    def _append(self, name: bytes) -> int:
        """Takes a name in the folder that is open."""
        self._names += name
        self._ends.append(len(self._names))
        self._folders.append(self._open[-1].number if self._open else _TOP)
        return len(self._folders) - 1
