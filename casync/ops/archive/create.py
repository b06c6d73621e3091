"""Makes an archive in a store: members are streamed into it, and cut as they come."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple, Protocol, cast

from casync.access.progress import SILENT, Progress
from casync.archives.member import MemberKind
from casync.archives.writing.new_format import NewFormat, archive_length, write_archive
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.errors import UsageError
from casync.fs.source.base import BLOCK_BYTES, FileStamp, Hole, Positioned
from casync.ids import Buffer
from casync.jobs.collisions import NameDigests, first_collision
from casync.limits import MIB
from casync.ops.archive.counted_members import CountedMembers, NotesOf
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.prepare.prepared import Prepared
from casync.store.base import ObjectStore

__all__ = ["ArchiveInput", "ArchivePlan", "create_archive", "plan_archive"]

_SPOOL_BYTES: Final = MIB
"""Bytes of the central directory of a zip that are held in memory, not in a file."""


class ArchiveInput(Protocol):
    """Where members come from."""

    @property
    def label(self) -> str:
        """What messages call it."""
        ...

    @property
    def missing(self) -> int:
        """What was asked for and is not there, as of the last walk."""
        ...

    @property
    def left_out(self) -> int:
        """Entries that no archive has room for, as of the last walk."""
        ...

    @property
    def has_distinct_paths(self) -> bool:
        """Whether no two members can have one path."""
        ...

    def members(self, kinds: frozenset[MemberKind]) -> Iterator[MemberWithBytes]:
        """The members of these kinds, from the first one each time that it is called.

        Raises:
            CasyncError: A member is missing, or cannot be read.
        """
        ...


class ArchivePlan(NamedTuple):
    """What an archive will have.

    Attributes:
        files: Files, hard links included.
        folders: Folders.
        links: Symbolic links.
        plain: Bytes of the files.
        length: Bytes of the archive; None if only making it can tell.
        missing: As of `ArchiveInput`.
        left_out: As of `ArchiveInput`.
    """

    files: int
    folders: int
    links: int
    plain: int
    length: int | None
    missing: int
    left_out: int


def plan_archive(made: NewFormat, given: ArchiveInput) -> ArchivePlan:
    """Walks over all members, and reads no bytes of files.

    Raises:
        UsageError: The format has no room for a member, or two have one path.
        CasyncError: As `ArchiveInput.members`.
    """
    counts = dict.fromkeys(MemberKind, 0)
    plain = 0
    digests = NameDigests()

    def counted() -> Iterator[NewMember]:
        nonlocal plain
        for member, _ in given.members(made.kinds):
            if member.path:  # not the folder of all members
                counts[member.kind] += 1
            plain += member.length
            if not given.has_distinct_paths:
                digests.add(_text(member))
            yield member

    walk = counted()
    length = archive_length(made, walk)
    for _ in walk:  # what the length did not need
        pass
    missing, left_out = given.missing, given.left_out
    paths = (_text(member) for member, _ in given.members(made.kinds))
    if (twice := first_collision(paths, digests.repeated())) is not None:
        raise UsageError(
            f"several members would have the path {twice}",
            next_step='Give each a path of its own with --list: {"PATH": "REF"}.',
        )
    return ArchivePlan(
        files=counts[MemberKind.FILE] + counts[MemberKind.HARDLINK],
        folders=counts[MemberKind.FOLDER],
        links=counts[MemberKind.SYMLINK],
        plain=plain,
        length=length,
        missing=missing,
        left_out=left_out,
    )


def create_archive(
    made: NewFormat,
    given: ArchiveInput,
    plan: ArchivePlan,
    store: ObjectStore,
    options: PrepareOptions,
    progress: Progress = SILENT,
) -> Prepared:
    """Puts an archive into a store, and sets its name.

    Args:
        made: The format.
        given: The members.
        plan: What `plan_archive` found.
        store: The store.
        options: How to prepare, with the name.
        progress: Advances by every byte of the members.

    Raises:
        SourceChangedError: A member changed while the archive was made, twice.
        CasyncError: As `ArchiveInput.members` and `prepare`.
    """
    source = _ArchiveSource(made, given, plan, progress)
    return prepare(source, store, options, NotesOf(progress))


class _ArchiveSource:
    """An archive as a source to prepare from: made while it is read."""

    repeatable = True

    def __init__(
        self, made: NewFormat, given: ArchiveInput, plan: ArchivePlan, progress: Progress
    ) -> None:
        self.label = given.label
        self.length = plan.length
        self._made = made
        self._given = given
        self._plain = plan.plain
        self._progress = progress

    def stamp(self) -> FileStamp | None:
        """None: there is no file to recognise."""
        return None

    def positioned(self, least: int) -> Positioned | None:
        """None: it is made in order."""
        return None

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes | Hole]:
        """The archive in full blocks. See `Source`."""
        counted = CountedMembers(self._progress)

        def members() -> Iterator[MemberWithBytes]:
            counted.start("archiving", self._plain)
            return counted.members(self._given.members(self._made.kinds))

        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            parts = write_archive(self._made, members, cast(BinaryIO, spool))
            yield from _joined(parts, size)


def _joined(parts: Iterator[Buffer], size: int) -> Iterator[bytes]:
    block = bytearray()
    for part in parts:
        block += part
        while len(block) >= size:
            yield bytes(memoryview(block)[:size])
            del block[:size]
    if block:
        yield bytes(block)


def _text(member: NewMember) -> str:
    return member.path.decode(errors="surrogateescape")
