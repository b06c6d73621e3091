"""Files and folders on disk, each by itself, as members of an archive."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from casync.archives.member import MemberKind
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.errors import UsageError
from casync.fs.source.base import Hole, reading
from casync.fs.source.file import FileSource
from casync.fs.unnamed_file import unnamed_file
from casync.ids import Buffer
from casync.limits import MIB
from casync.ops.archive.folder_input import FolderInput

__all__ = ["FilesInput", "StreamInput"]

_NS: Final = 1_000_000_000
_BLOCK: Final = MIB
_ZEROS: Final = bytes(_BLOCK)


class _Given(NamedTuple):
    path: Path
    place: bytes


class FilesInput:
    """Files, and folders with what is below them. A link that is given is followed.

    Args:
        paths: The files and folders. The members get the last names of these paths.
        place: The path that the only one of them gets instead.
        below: The folder in the archive that they are put into, with its slash.
        avoid: As of `FolderInput`.

    Attributes:
        label: What messages call it.
        missing: Always 0.
        left_out: Devices, pipes, sockets and leftovers of pulls, as of the last walk.
        has_distinct_paths: Always.

    Raises:
        UsageError: Two of them would have one path, or one has no name.
    """

    missing = 0
    has_distinct_paths = True

    def __init__(
        self,
        paths: Sequence[Path],
        place: bytes | None = None,
        avoid: frozenset[tuple[int, int]] = frozenset(),
        *,
        below: bytes = b"",
    ) -> None:
        assert place is None or len(paths) == 1
        self.label = " ".join(map(str, paths))
        self.left_out = 0
        self._avoid = avoid
        self._given = [_Given(path, place or below + _last_name(path)) for path in paths]
        places = set[bytes]()
        for _, one in self._given:
            if one in places:
                raise UsageError(
                    f"several members would have the path {os.fsdecode(one)}",
                    next_step="Append them one by one, each with --as.",
                )
            places.add(one)

    def members(self, kinds: frozenset[MemberKind]) -> Iterator[MemberWithBytes]:
        """The members. The bytes of one are read before the next one is asked for.

        Raises:
            NotFoundError: One of the files is not there.
            UsageError: One is a device, a pipe or a socket.
            DeniedError: Something cannot be read.
            SourceChangedError: A file changed while it was read.
        """
        self.left_out = 0
        for path, place in self._given:
            with reading(str(path)):
                status = os.stat(path)
            mode, mtime = stat.S_IMODE(status.st_mode), status.st_mtime_ns // _NS
            if stat.S_ISDIR(status.st_mode):
                if MemberKind.FOLDER in kinds:
                    yield NewMember(place, MemberKind.FOLDER, mode=mode, mtime=mtime), ()
                yield from self._below(path, place, kinds)
            elif stat.S_ISREG(status.st_mode):
                member = NewMember(place, length=status.st_size, mode=mode, mtime=mtime)
                yield member, _blocks(path)
            else:
                raise UsageError(
                    f"{path} is neither a file nor a folder",
                    next_step="Give - and --as PATH, and its bytes on stdin.",
                )

    def _below(
        self, path: Path, place: bytes, kinds: frozenset[MemberKind]
    ) -> Iterator[MemberWithBytes]:
        folder = FolderInput(path, self._avoid)
        for member, content in folder.members(kinds):
            target = member.target
            if member.kind is MemberKind.HARDLINK:
                target = place + b"/" + target
            yield member._replace(path=place + b"/" + member.path, target=target), content
        self.left_out += folder.left_out


class StreamInput:
    """One member whose bytes come from a stream.

    They are kept in a file without a name: their number stands before them in an archive, and a
    lost race needs them again.

    Args:
        stream: The stream, which is read to its end.
        place: The path of the member.

    Attributes:
        label: What messages call it.
        missing: Always 0.
        left_out: Always 0.
        has_distinct_paths: Always.

    Raises:
        NoSpaceError, WriteError: There is no room for the bytes.
        CasyncError: The stream cannot be read.
    """

    label = "stdin"
    missing = 0
    left_out = 0
    has_distinct_paths = True

    def __init__(self, stream: BinaryIO, place: bytes) -> None:
        self._place = place
        self._file = unnamed_file(_read(stream, self.label))

    def members(self, kinds: frozenset[MemberKind]) -> Iterator[MemberWithBytes]:
        """The member."""
        length = self._file.length
        yield NewMember(self._place, length=length), self._file.blocks(0, length)


def _last_name(path: Path) -> bytes:
    name = path.name if path.name not in ("", "..") else Path(os.path.abspath(path)).name
    if not name:
        raise UsageError(f"{path} has no name", next_step="Give one with --as.")
    return os.fsencode(name)


def _read(stream: BinaryIO, label: str) -> Iterator[bytes]:
    while True:
        with reading(label):
            block = stream.read(_BLOCK)
        if not block:
            return
        yield block


def _blocks(path: Path) -> Iterable[Buffer]:
    """The bytes of a file, if it stays as it is."""
    with FileSource(path) as source:
        for block in source.blocks(_BLOCK):
            if not isinstance(block, Hole):
                yield block
                continue
            for done in range(0, block.length, _BLOCK):
                yield _ZEROS[: block.length - done]
