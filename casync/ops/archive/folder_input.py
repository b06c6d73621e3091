"""A folder on disk as members of an archive."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from casync.archives.member import MemberKind
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.errors import CasyncError, DeniedError, SourceChangedError
from casync.fs.exclude import Exclusion
from casync.fs.identity import FileIdentity, identity_of
from casync.fs.scan import Entered, FoundFile, Left, Leftover, Scan
from casync.fs.source.base import reading
from casync.ids import Buffer
from casync.limits import MIB

__all__ = ["FolderInput"]

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK: Final = MIB
_NS: Final = 1_000_000_000


class FolderInput:
    """The entries of a folder, in the order of their names, a folder before what it holds.

    The folder itself is left out. A file with several names is one file and hard links to it.

    Args:
        root: The folder.
        avoid: Folders to leave out, as (device, inode).

    Attributes:
        label: What messages call it.
        missing: Always 0.
        left_out: Devices, pipes, sockets and leftovers of pulls, as of the last walk.
        has_distinct_paths: Always.
    """

    missing = 0
    has_distinct_paths = True

    def __init__(self, root: Path, avoid: frozenset[tuple[int, int]] = frozenset()) -> None:
        self.label = str(root)
        self.left_out = 0
        self._root = root
        self._avoid = avoid

    def require(self) -> None:
        """Passes a folder that can be read.

        Raises:
            NotFoundError, UsageError, DeniedError: As `members`.
        """
        self._scan().close()

    def _scan(self) -> Scan:
        return Scan(self._root, excluded=Exclusion((), ()), avoid=self._avoid)

    def members(self, kinds: frozenset[MemberKind]) -> Iterator[MemberWithBytes]:
        """Walks the folder. The bytes of a member are read before the next one is asked for.

        Raises:
            NotFoundError, UsageError: There is no such folder.
            DeniedError: An entry cannot be read.
            SourceChangedError: A file changed while it was read.
        """
        self.left_out = 0
        first_names: dict[tuple[int, int], bytes] = {}
        with closing(self._scan()) as scan:
            for event in scan:
                match event:
                    case Left():
                        pass
                    case Leftover():
                        self.left_out += 1
                    case Entered(path=path, status=status):
                        if path and MemberKind.FOLDER in kinds:
                            yield _member(path, MemberKind.FOLDER, status), ()
                    case FoundFile():
                        yield from self._leaf(event, kinds, first_names)
                    case _:
                        where = os.fsdecode(event.path)
                        raise DeniedError(f"cannot read {self.label}/{where}: {event.reason}")

    def _leaf(
        self,
        event: FoundFile,
        kinds: frozenset[MemberKind],
        first_names: dict[tuple[int, int], bytes],
    ) -> Iterator[MemberWithBytes]:
        path, name, status, folder = event
        label = f"{self.label}/{os.fsdecode(path)}"
        if stat.S_ISREG(status.st_mode):
            if status.st_nlink > 1 and MemberKind.HARDLINK in kinds:
                first = first_names.setdefault((status.st_dev, status.st_ino), path)
                if first != path:
                    yield _member(path, MemberKind.HARDLINK, status)._replace(target=first), ()
                    return
            member = _member(path, MemberKind.FILE, status)._replace(length=status.st_size)
            yield member, _blocks(name, folder, label, identity_of(status))
        elif not stat.S_ISLNK(status.st_mode):
            self.left_out += 1
        elif MemberKind.SYMLINK in kinds:
            with reading(label):
                target = os.readlink(name, dir_fd=folder)
            yield _member(path, MemberKind.SYMLINK, status)._replace(target=target), ()


def _member(path: bytes, kind: MemberKind, status: os.stat_result) -> NewMember:
    mode = stat.S_IMODE(status.st_mode)
    return NewMember(path, kind, mode=mode, mtime=status.st_mtime_ns // _NS)


def _blocks(name: bytes, folder: int, label: str, identity: FileIdentity) -> Iterator[Buffer]:
    """The bytes of a file, if it is the one that was found, and stays as it is."""
    changed = SourceChangedError(f"{label} changed while it was read")
    with reading(label):
        fd = os.open(name, _FLAGS, dir_fd=folder)
    try:
        if identity_of(os.fstat(fd)) != identity:
            raise changed
        while True:
            with reading(label):
                block = os.read(fd, _BLOCK)
            if not block:
                break
            yield block
        if identity_of(os.fstat(fd)) != identity:
            raise changed
    except OSError as error:
        raise CasyncError(f"cannot read {label}: {error.strerror or error}") from error
    finally:
        os.close(fd)
