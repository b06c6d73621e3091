"""Exports a tree as an archive: nothing is stored, and only what is asked for is read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Final, cast

from casync.access.tree_load import Tree
from casync.archives.writing.msgpack_writer import msgpack_header, msgpack_map
from casync.archives.writing.new_format import NewFormat, archive_length, write_archive
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.archives.writing.tar_writer import TAR_END, tar_header, tar_padding
from casync.ids import Buffer
from casync.limits import MIB
from casync.ops.archive.tree_members import ReadableMember, ReadPart, members_of_tree
from casync.store.base import ObjectSource

__all__ = ["TreeExport", "export_tree"]

_SPOOL_BYTES: Final = MIB
"""Bytes of the central directory of a zip that are held in memory, not in a file."""


@dataclass(frozen=True, slots=True)
class TreeExport:
    """An archive of a tree, which is made while it is read.

    Attributes:
        tree: The tree.
        source: Has the chunks of its files.
        made: The format.
        prefix: How the paths of all members begin.
        count: How many members there are.
        length: Bytes of the archive; None if only making it can tell.
    """

    tree: Tree
    source: ObjectSource
    made: NewFormat
    prefix: bytes
    count: int
    length: int | None

    @property
    def has_ranges(self) -> bool:
        """Whether a part can be read without what is before it."""
        return self.made in (NewFormat.TAR, NewFormat.MSGPACK)

    def read(self) -> Iterator[Buffer]:
        """All of the archive, in blocks.

        Raises:
            NoObjectError, IntegrityError: An object is missing or damaged. What came before is
                good, and the archive is not whole.
        """
        if self.has_ranges and self.length is not None:
            yield from self.read_range(0, self.length)
            return
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            yield from write_archive(self.made, self._with_bytes, cast(BinaryIO, spool))

    def read_range(self, start: int, end: int) -> Iterator[Buffer]:
        """The bytes from `start` up to `end`, of a format that has ranges. Raises as `read`.

        Members outside of the range are passed over by their lengths.
        """
        at = 0
        for length, read in self._parts():
            if at >= end:
                break
            if at + length > start:
                yield from read(max(start - at, 0), min(end - at, length))
            at += length

    def _parts(self) -> Iterator[tuple[int, ReadPart]]:
        """The archive in parts: the length of each, and how it is read."""
        is_tar = self.made is NewFormat.TAR
        if not is_tar:
            yield _fixed(msgpack_map(self.count))
        for member, read in self.members():
            yield _fixed(tar_header(member) if is_tar else msgpack_header(member))
            yield member.length, read
            if is_tar:
                yield _fixed(tar_padding(member.length))
        if is_tar:
            yield _fixed(TAR_END)

    def members(self) -> Iterator[ReadableMember]:
        """The members, in their order. Raises as `read`."""
        return members_of_tree(
            self.tree, self.source, self.made.kinds, prefix=self.prefix, is_whole=True
        )

    def _with_bytes(self) -> Iterable[MemberWithBytes]:
        return ((one.member, one.content()) for one in self.members())


def export_tree(
    tree: Tree, source: ObjectSource, made: NewFormat, prefix: bytes = b""
) -> TreeExport:
    """Walks a tree once, to learn how long the archive of it is.

    Raises:
        UsageError: The format has no room for a member.
        NoObjectError, IntegrityError: An object of a folder is missing or damaged.
    """
    export = TreeExport(tree, source, made, prefix, 0, None)
    count = 0

    def counted() -> Iterator[NewMember]:
        nonlocal count
        for member, _ in export.members():
            count += 1
            yield member

    length = archive_length(made, counted())
    return replace(export, count=count, length=length)


def _fixed(data: bytes) -> tuple[int, ReadPart]:
    def read(start: int, end: int) -> Iterator[Buffer]:
        if start < end:
            yield data[start:end]

    return len(data), read
