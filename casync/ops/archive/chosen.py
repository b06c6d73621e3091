"""The members of an archive, or of a folder in it, that are meant, each with the path it gets."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from casync.access.archive import Archive
from casync.archives.member import Member, MemberKind, shown
from casync.archives.selection import member_selection
from casync.errors import IntegrityError, NotFoundError, UnsupportedError, UsageError
from casync.fs.sorted_rows import SortedRows
from casync.ids import Buffer
from casync.ops.archive.list_members import EVERYTHING, Selection, list_members

__all__ = ["Choice", "ChosenMember", "in_order", "member_content"]


class ChosenMember(msgspec.Struct, frozen=True, array_like=True):
    """A member that is meant.

    Attributes:
        path: The path that it gets.
        member: The member; of a hard link the one that it leads to.
        first: Of a hard link to another chosen member, the path which that gets.
    """

    path: bytes
    member: Member
    first: bytes | None = None


class Choice(NamedTuple):
    """Members of an archive. Those that a later one of the same path hides are not among them.

    Attributes:
        archive: The archive.
        folder: A folder in it, which the paths are relative to; empty for all of it.
        selection: Selects members by their paths below the folder.
    """

    archive: Archive
    folder: bytes = b""
    selection: Selection = EVERYTHING

    def members(self, *, hard_links: bool = True) -> Iterator[ChosenMember]:
        """The members in the order of their paths.

        Args:
            hard_links: Whether a hard link to a file among them is one again, not a file.

        Raises:
            UsageError: The folder is something else, or the selection is not valid.
            NotFoundError: There is no such folder, or a hard link leads to nothing.
            NoObjectError, IntegrityError: The archive is damaged, or a part of it is missing.
        """
        self._check_folder()
        mode, text, _ = self.selection
        matches = member_selection(mode, text)
        for path, member in self._listed():
            if member.kind is not MemberKind.HARDLINK:
                yield ChosenMember(path, member)
                continue
            target = self._led_to(path, member)
            first = self._inside(target.path)
            is_chosen = first is not None and (not text or matches(first))
            is_file = target.kind is MemberKind.FILE and not target.shadowed
            yield ChosenMember(
                path, target, first if hard_links and is_file and is_chosen else None
            )

    def without(self, path: bytes) -> str:
        """What to do about a member that cannot be taken: how to choose the others."""
        if self.selection.text:
            return "Choose members without it."
        others = shlex.quote(f"^(?!{re.escape(os.fsdecode(path))}$)")
        return f"Leave it out with --regex {others}."

    def _led_to(self, path: bytes, link: Member) -> Member:
        """What a hard link leads to. Raises as `members`, and says how to do without it."""
        try:
            target = self.archive.find(link.path)
        except (NotFoundError, UnsupportedError) as error:
            error.next_step = self.without(path)
            raise
        assert target is not None
        return target

    def _listed(self) -> Iterator[tuple[bytes, Member]]:
        mode, text, _ = self.selection
        if not self.folder:
            yield from ((one.path, one) for one in list_members(self.archive, self.selection))
            return
        matches = member_selection(mode, text)
        for member in self.archive.members(self.folder + b"/"):
            path = self._inside(member.path)
            if path and not member.shadowed and (not text or matches(path)):
                yield path, member

    def _inside(self, path: bytes) -> bytes | None:
        """A path of the archive as one below the folder; None if it is not there."""
        if not self.folder:
            return path
        start = self.folder + b"/"
        return path[len(start) :] if path.startswith(start) else None

    def _check_folder(self) -> None:
        if not self.folder:
            return
        there = self.archive.find(self.folder)
        if there is None and next(self.archive.members(self.folder + b"/"), None) is None:
            raise NotFoundError(f"the archive has no {os.fsdecode(self.folder)}")
        if there is not None and there.kind is not MemberKind.FOLDER:
            raise UsageError(
                f"{os.fsdecode(self.folder)} is not a folder in the archive",
                next_step="A member by itself is written with -o FILE.",
            )


@contextmanager
def in_order(chosen: Iterable[ChosenMember]) -> Iterator[Iterator[ChosenMember]]:
    """Members in the order in which their bytes lie in the archive, a file before its hard links.

    Raises:
        NoSpaceError, WriteError: There is no room to sort them.
        CasyncError: As `Choice.members`.
    """
    with SortedRows(ChosenMember, _order, "the members of the archive") as rows:
        for one in chosen:
            rows.add(one)
        yield iter(rows)


def member_content(archive: Archive, member: Member) -> Iterator[Buffer]:
    """The bytes of a member, as many as its index says. Its header is compared first.

    Raises:
        IntegrityError: The index is wrong about it, or it is damaged.
        NoObjectError: A part is missing.
    """
    content = archive.content_of(member)
    if content.length != member.length:
        raise IntegrityError(f"the index of the archive is wrong about {shown(member.path)}")
    yield from content.read(0, content.length)


def _order(one: ChosenMember) -> tuple[int, bool, bytes]:
    return one.member.header, one.first is not None, one.path
