"""New members, beside those that an archive has already."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import suppress

from casync.access.archive import Archive
from casync.access.member_indexes import BAD_INDEX
from casync.archives.member import Member, MemberKind
from casync.archives.writing.new_member import MemberWithBytes
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
            if not there or self._on_duplicate is OnDuplicate.REPLACE:
                self.replaced += there
                yield member, content
            elif member.kind is there[-1].kind is MemberKind.FOLDER:
                pass  # what is in it is added
            elif self._on_duplicate is OnDuplicate.KEEP:
                self.kept += 1
            else:
                path = member.path.decode(errors="replace")
                raise UsageError(
                    f"{self._archive_label} has a member {path} already",
                    next_step="Give --on-duplicate replace or keep, or another path with --as.",
                )

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
