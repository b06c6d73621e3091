"""The archives that can be made, and how each is written."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, TypeAlias

from casync.archives.member import MemberKind
from casync.archives.writing.gzip_writer import write_tgz
from casync.archives.writing.msgpack_writer import msgpack_map, msgpack_size, write_msgpack
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.archives.writing.tar_writer import TAR_END, tar_size, write_tar
from casync.archives.writing.zip_writer import stored_zip_size, write_zip
from casync.errors import UsageError
from casync.ids import Buffer

__all__ = ["Members", "NewFormat", "archive_length", "new_format_of", "write_archive"]


class NewFormat(enum.StrEnum):
    """An archive that can be made."""

    TAR = "tar"
    TGZ = "tgz"
    ZIP = "zip"
    MSGPACK = "msgpack"

    @property
    def kinds(self) -> frozenset[MemberKind]:
        """The kinds of members that it has room for."""
        return _KINDS[self]


_PLAIN: Final = frozenset({MemberKind.FILE, MemberKind.FOLDER, MemberKind.SYMLINK})
_KINDS: Final = {
    NewFormat.TAR: frozenset(MemberKind),
    NewFormat.TGZ: frozenset(MemberKind),
    NewFormat.ZIP: _PLAIN,
    NewFormat.MSGPACK: frozenset({MemberKind.FILE}),
}
_SUFFIXES: Final = {
    ".tar": NewFormat.TAR,
    ".tgz": NewFormat.TGZ,
    ".tar.gz": NewFormat.TGZ,
    ".zip": NewFormat.ZIP,
    ".msgpack": NewFormat.MSGPACK,
}

Members: TypeAlias = Callable[[], Iterable[MemberWithBytes]]
"""Gives the members, from the first one each time that it is called."""


def new_format_of(name: str) -> NewFormat:
    """The format that the end of a name stands for.

    Raises:
        UsageError: It stands for none.
    """
    for suffix, found in _SUFFIXES.items():
        if name.lower().endswith(suffix):
            return found
    raise UsageError(
        f"{name} does not end like an archive",
        next_step="End it in .tar, .tgz, .tar.gz, .zip or .msgpack.",
    )


def write_archive(made: NewFormat, members: Members, spool: BinaryIO) -> Iterator[Buffer]:
    """An archive of members, in their order.

    Args:
        made: The format.
        members: The members. For MessagePack they are asked for twice, to count them.
        spool: An empty file, which takes the central directory of a zip.

    Raises:
        SourceChangedError: A member has more or fewer bytes than announced.
        UsageError: The format has no room for a member.
        CasyncError: What reading the members raises.
    """
    match made:
        case NewFormat.TAR:
            return write_tar(members())
        case NewFormat.TGZ:
            return write_tgz(members())
        case NewFormat.ZIP:
            return write_zip(members(), spool)
        case NewFormat.MSGPACK:
            return write_msgpack(sum(1 for _ in members()), members())


def archive_length(made: NewFormat, members: Iterable[NewMember]) -> int | None:
    """Bytes of an archive of these members; None if they depend on what deflating makes of them.

    Raises:
        UsageError: The format has no room for a member.
    """
    match made:
        case NewFormat.TAR:
            return sum(map(tar_size, members)) + len(TAR_END)
        case NewFormat.TGZ:
            return None
        case NewFormat.ZIP:
            return stored_zip_size(members)
        case NewFormat.MSGPACK:
            return sum(map(msgpack_size, members)) + len(msgpack_map(0))
