"""New members, beside those that an archive has already."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import suppress

from casync.access.archive import Archive
from casync.access.member_indexes import BAD_INDEX
from casync.archives.member import Member, MemberKind, shown
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.errors import UsageError
from casync.ops.archive.create import ArchiveInput

__all__ = ["AddedMembers", "OnDuplicate"]


class OnDuplicate(enum.StrEnum):
    """What happens to a new member whose path the archive has already."""

    ERROR = "error"
    REPLACE = "replace"
    KEEP = "keep"


class AddedMembers:
    """The members that are added: those that are not there yet, or replace what is there.

    Args:
        given: All new members, whose paths differ.
        archive: The archive.
        label: What messages call it.
        on_duplicate: What happens to those that are there.

    Attributes:
        label: What messages call the new members.
        missing: Always 0.
        has_distinct_paths: Always.
        replaced: Members of the archive that have the path of a new one, as of the last walk.
        kept: New members that are not added, as of the last walk.
    """

    missing = 0
    has_distinct_paths = True

    def __init__(
        self, given: ArchiveInput, archive: Archive, label: str, on_duplicate: OnDuplicate
    ) -> None:
        self.label = given.label
        self.replaced: list[Member] = []
        self.kept = 0
        self._given = given
        self._archive = archive
        self._archive_label = label
        self._on_duplicate = on_duplicate
        self._folders = set[bytes]()  # paths that are folders, or not there

    @property
    def left_out(self) -> int:
        """As `ArchiveInput.left_out`."""
        return self._given.left_out

    def members(self, kinds: frozenset[MemberKind]) -> Iterator[MemberWithBytes]:
        """The members.

        Raises:
            UsageError: One is there already, and must not be.
            CasyncError: As `ArchiveInput.members`.
        """
        self.replaced, self.kept = [], 0
        if self._on_duplicate is OnDuplicate.KEEP:
            # What a hard link leads to may be kept, and be another file.
            kinds -= {MemberKind.HARDLINK}
        for member, content in self._given.members(kinds):
            there = self._there(member.path)
            self._check_place(member)
            if not there or self._on_duplicate is OnDuplicate.REPLACE:
                self.replaced += there
                yield member, content
            elif member.kind is there[-1].kind is MemberKind.FOLDER:
                pass  # what is in it is added
            elif self._on_duplicate is OnDuplicate.KEEP:
                self.kept += 1
            else:
                raise UsageError(
                    f"{self._archive_label} has a member {shown(member.path)} already",
                    next_step="Give --on-duplicate replace or keep, or another path with --as.",
                )

    def _check_place(self, member: NewMember) -> None:
        """Refuses a member that could not be extracted beside those that are there.

        Raises:
            UsageError: Part of its path is no folder, or it is none and has members below it.
        """
        for above in self._above(member.path):
            if above not in self._folders:
                found = self._there(above)
                if found and found[-1].kind is not MemberKind.FOLDER:
                    raise self._misplaced(member, f"{shown(above)}, which is not a folder")
                self._folders.add(above)
        if member.kind is not MemberKind.FOLDER:
            below = next(self._archive.members(member.path + b"/"), None)
            if below is not None:
                raise self._misplaced(member, f"{shown(below.path)} below it")

    def _misplaced(self, member: NewMember, what: str) -> UsageError:
        return UsageError(
            f"{shown(member.path)} cannot be added to {self._archive_label}, which has {what}",
            next_step="Give another path with --as.",
        )

    @staticmethod
    def _above(path: bytes) -> Iterator[bytes]:
        """The folders that a path leads through."""
        at = path.find(b"/")
        while at > 0:
            yield path[:at]
            at = path.find(b"/", at + 1)

    def _there(self, path: bytes) -> list[Member]:
        """The members of the archive that have a path."""
        with suppress(*BAD_INDEX):  # `members` makes it again
            if self._archive.index.find(path) is None:
                return []
        found: list[Member] = []
        for one in self._archive.members(path):
            if one.path != path:
                break
            found.append(one)
        return found
