"""Prints members of an archive."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from casync.archives.member import Member, MemberKind
from casync_cli.columns import Column, moments, sizes
from casync_cli.output import Output
from casync_cli.parsing.times import format_moment

if TYPE_CHECKING:
    from casync.access.archive import Archive

__all__ = ["member_fields", "member_mode", "report_members"]

_TYPES: Final = {
    MemberKind.FILE: stat.S_IFREG,
    MemberKind.FOLDER: stat.S_IFDIR,
    MemberKind.SYMLINK: stat.S_IFLNK,
    MemberKind.HARDLINK: stat.S_IFREG,
    MemberKind.OTHER: stat.S_IFCHR,
}


def report_members(
    output: Output, archive: Archive, members: Iterable[Member], *, long: bool, shadowed: bool
) -> None:
    """Prints members.

    Args:
        output: Prints them.
        archive: Their archive.
        members: The members.
        long: Show more than paths.
        shadowed: Show in `long` which members a later one hides.
    """
    if output.json_mode:
        refused = archive.index.refused.number
        fields = {"format": str(archive.kind), "left_out": refused}
        rows = map(_fields, members)
        output.document_of_rows("casync.archive-ls/1", fields, "entries", rows)
        return
    if not long:
        for member in members:
            output.row(os.fsdecode(member.path))
        return
    columns = [
        Column("mode", 10),
        sizes("length"),
        moments("time"),
        Column("path"),
        Column("target"),
    ]
    listing = output.listing(*columns, *([Column("hidden")] if shadowed else []))
    for member in members:
        listing.row(
            member_mode(member),
            member.length,
            format_moment(member.mtime),
            os.fsdecode(member.path),
            os.fsdecode(member.target) if member.target else None,
            *(["hidden" if member.shadowed else None] if shadowed else []),
        )


def member_mode(member: Member) -> str:
    """The mode of a member as `ls` prints it."""
    return stat.filemode(_TYPES[member.kind] | member.mode)


def member_fields(member: Member) -> dict[str, object]:
    """What a listing of names or folders has of a member besides its place."""
    return {
        "member": os.fsdecode(member.path),
        "kind": member.kind.name.lower(),
        "length": member.length,
        "mode": f"{member.mode:04o}",
        "mtime": member.mtime,
    }


def _fields(member: Member) -> dict[str, object]:
    fields: dict[str, object] = {
        "path": os.fsdecode(member.path),
        "kind": member.kind.name.lower(),
        "length": member.length,
        "stored": member.stored,
        "mode": f"{member.mode:04o}",
        "mtime": member.mtime,
        "offset": member.offset,
        "shadowed": member.shadowed,
    }
    if member.target:
        fields["target"] = os.fsdecode(member.target)
    return fields
