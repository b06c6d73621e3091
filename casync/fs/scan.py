"""Walks a folder to prepare, from one open descriptor to the next.

No path is looked up from the top and no link is followed, so files that move or are replaced during
the walk cannot lead it elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from casync.errors import DeniedError, NotFoundError, SourceChangedError, UsageError
from casync.fs.target.part import is_part
from casync.fs.target.staging import STAGING, is_staging
from casync.limits import MAX_TREE_DEPTH, MAX_TREE_PATH

__all__ = ["Entered", "Event", "FoundFile", "Left", "Leftover", "Scan", "Unreadable", "Excluded"]

_OPEN_FOLDERS: Final = 64
"""Folders of a path that stay open. Those above are reopened through `..`."""

_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Excluded: TypeAlias = Callable[[bytes, bool], bool]
"""Whether a path below the root, and all below it, is left out. Takes (path, is it a folder)."""


class Entered(NamedTuple):
    """A folder; its entries follow, up to its `Left`. `fd` is open until then."""

    path: bytes
    name: bytes
    status: os.stat_result
    fd: int


class FoundFile(NamedTuple):
    """Any other entry. `folder` is its folder's descriptor, open until the next step."""

    path: bytes
    name: bytes
    status: os.stat_result
    folder: int


class Left(NamedTuple):
    """The end of the innermost open folder."""


class Unreadable(NamedTuple):
    """An entry that cannot be read, and why."""

    path: bytes
    reason: str


class Leftover(NamedTuple):
    """What an interrupted pull has left behind, which is left out."""

    path: bytes


Event: TypeAlias = Entered | FoundFile | Left | Leftover | Unreadable
"""A step of a walk."""


class _Level:
    __slots__ = ("fd", "key", "names", "prefix")

    def __init__(self, fd: int, status: os.stat_result, prefix: bytes) -> None:
        self.fd = fd
        self.key = (status.st_dev, status.st_ino)
        self.prefix = prefix
        # Names only: a folder of a million entries must fit in memory.
        self.names = sorted(map(os.fsencode, os.listdir(fd)), reverse=True)


class Scan:
    """Walks a folder, in the order of its entries' names as bytes.

    Args:
        root: The folder; a link to a folder is followed.
        excluded: Selects paths to leave out.
        one_file_system: Show folders on other file systems as empty.
        avoid: Folders to leave out, as (device, inode).

    Attributes:
        leftovers: What interrupted pulls have left behind so far.

    Raises:
        NotFoundError, UsageError, DeniedError: `root` is missing, not a folder, or unreadable.
    """

    def __init__(
        self,
        root: Path,
        *,
        excluded: Excluded,
        one_file_system: bool = False,
        avoid: frozenset[tuple[int, int]] = frozenset(),
    ) -> None:
        self._excluded = excluded
        self._one_file_system = one_file_system
        self._avoid = avoid
        self._levels: list[_Level] = []
        self.leftovers = 0
        try:
            self._root = os.open(root, _FOLDER_FLAGS & ~os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no folder {root}") from error
        except NotADirectoryError as error:
            raise UsageError(f"{root} is not a folder") from error
        except PermissionError as error:
            raise DeniedError(f"cannot read {root}: permission denied") from error
        self._status = os.fstat(self._root)

    def __iter__(self) -> Iterator[Event]:
        """Everything below the root, the root first. Iterate once.

        Raises:
            SourceChangedError: A folder was moved away while it was walked.
        """
        self._levels = [_Level(self._root, self._status, b"")]
        root, self._root = self._root, -1
        yield Entered(b"", b"", self._status, root)
        while self._levels:
            level = self._levels[-1]
            if not level.names:
                self._leave()
                yield Left()
                continue
            yield from self._look(level, level.names.pop())

    def close(self) -> None:
        """Closes all folders."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1
        for level in self._levels:
            if level.fd >= 0:
                os.close(level.fd)
        self._levels = []

    def _look(self, level: _Level, name: bytes) -> Iterator[Event]:
        path = level.prefix + name
        try:
            status = os.stat(name, dir_fd=level.fd, follow_symlinks=False)
            if is_part(name, status) or is_staging(level.fd, name, status):
                self.leftovers += 1
                yield Leftover(path)
                return
            is_folder = stat.S_ISDIR(status.st_mode)
            if (status.st_dev, status.st_ino) in self._avoid or self._excluded(path, is_folder):
                return
            if path == STAGING:
                yield Unreadable(path, "pull keeps this name for its own folder")
                return
            if len(path) > MAX_TREE_PATH:
                yield Unreadable(path, f"path of more than {MAX_TREE_PATH} bytes")
                return
            if not is_folder:
                yield FoundFile(path, name, status, level.fd)
                return
            if len(self._levels) >= MAX_TREE_DEPTH:
                yield Unreadable(path, f"more than {MAX_TREE_DEPTH} nested folders")
                return
            fd = os.open(name, _FOLDER_FLAGS, dir_fd=level.fd)
        except FileNotFoundError:  # removed meanwhile, as if before the walk
            return
        except OSError as error:
            yield Unreadable(path, error.strerror or str(error))
            return
        try:
            status = os.fstat(fd)
            entered = _Level(fd, status, path + b"/")
        except OSError as error:
            os.close(fd)
            yield Unreadable(path, error.strerror or str(error))
            return
        if self._one_file_system and status.st_dev != self._status.st_dev:
            entered.names = []
        self._levels.append(entered)
        if len(self._levels) > _OPEN_FOLDERS:
            self._shut(self._levels[-_OPEN_FOLDERS])
        yield Entered(path, name, status, fd)

    def _leave(self) -> None:
        left = self._levels.pop()
        try:
            if self._levels and self._levels[-1].fd < 0:
                self._levels[-1].fd = self._parent_of(left, self._levels[-1])
        finally:
            os.close(left.fd)

    @staticmethod
    def _shut(level: _Level) -> None:
        os.close(level.fd)
        level.fd = -1

    @staticmethod
    def _parent_of(child: _Level, parent: _Level) -> int:
        fd = os.open("..", _FOLDER_FLAGS, dir_fd=child.fd)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != parent.key:
            os.close(fd)
            where = child.prefix.decode(errors="surrogateescape")
            raise SourceChangedError(f"{where} was moved away while it was read")
        return fd
