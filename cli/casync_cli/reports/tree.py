"""Lists the entries of a folder, for people and as JSON."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from casync.access.locate import locate
from casync.access.outline import Outline
from casync.access.tree_load import Tree
from casync.archives.member import Member
from casync.errors import (
    IntegrityError,
    NoObjectError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from casync.names.name import Ref
from casync.objects.folder_sizes import FolderSizes
from casync.objects.manifest import Manifest
from casync.objects.tree import Device, File, Folder, Link, Pipe
from casync.ops.archive.list_members import members_inside
from casync.store.proved import ProvedReader
from casync_cli.columns import Column, moments, sizes
from casync_cli.parsing.times import format_moment
from casync_cli.reports.members import member_fields, member_mode

if TYPE_CHECKING:
    from casync.objects.tree import Entry
    from casync.store.base import ManifestSource
    from casync_cli.output import Output

__all__ = ["READS_OF_SERVER", "list_inside"]

READS_OF_SERVER: Final = 200
"""Reads of folders of a server that a listing is worth: seconds, over a slow link."""

_KINDS: Final = {File: "file", Folder: "folder", Link: "link", Device: "device", Pipe: "pipe"}


def list_inside(
    ref: Ref,
    source: ManifestSource,
    output: Output,
    *,
    long: bool,
    recursive: bool,
    full: bool,
    is_remote: bool,
    archives: bool = False,
) -> None:
    """Lists the folder, or the single entry, that `ref` leads to.

    Args:
        ref: The folder or entry.
        source: A store or a server.
        output: Prints the list.
        long: Show more than paths.
        recursive: List everything below, too.
        full: Show ids of contents on a terminal, too.
        is_remote: Show sizes of folders only as far as few requests tell them.
        archives: List the members of archives after them.

    Raises:
        CasyncError: As `locate` and `Tree.listing`.
    """
    found = locate(ref, source)
    if isinstance(found.content, Tree):
        listed = found.content.listing(recursive=recursive)
    else:
        assert found.entry is not None  # a whole file has no entries
        listed = iter([(found.path, found.entry)])
    params = found.content.params if isinstance(found.content, Tree | Outline) else None

    def rows() -> Iterator[tuple[bytes, Entry | Member]]:
        for path, entry in listed:
            yield path, entry
            if archives and isinstance(entry, File) and params is not None:
                kinds = (NotFoundError, IntegrityError, UsageError, UnsupportedError)
                with output.warning_of(*kinds, about=os.fsdecode(path)):
                    manifest = Manifest("file", params, entry.content)
                    outline = Outline(found.manifest, manifest, source)
                    for member in members_inside(outline, source, os.fsdecode(path), path):
                        yield path, member

    fetch = ProvedReader(source).plain
    folder_sizes = FolderSizes(fetch, READS_OF_SERVER if is_remote else None)

    def length(entry: Entry) -> int | None:
        if isinstance(entry, File):
            return entry.content.length
        if isinstance(entry, Folder) and long:
            with output.warning_of(NoObjectError, IntegrityError):
                return folder_sizes.of(entry.content)
        return None

    if output.json_mode:
        fields = {"manifest": found.manifest.hex()}
        entries = (_row(path, entry, length) for path, entry in rows())
        output.document_of_rows("casync.ls-tree/1", fields, "entries", entries)
        return
    if not long:
        for path, entry in rows():
            output.row(_shown(path, entry))
        return
    listing = output.listing(
        Column("mode", 10),
        sizes("length"),
        moments("time"),
        Column("content", 64, exact_only=not full),
        Column("path"),
        Column("target"),
    )
    for path, entry in rows():
        if isinstance(entry, Member):
            target = os.fsdecode(entry.target) if entry.target else None
            moment = format_moment(entry.mtime)
            shown = _shown(path, entry)
            listing.row(member_mode(entry), entry.length, moment, None, shown, target)
            continue
        listing.row(
            stat.filemode(_mode(entry)),
            length(entry),
            format_moment(entry.meta.mtime_ns // 1_000_000_000),
            entry.content.id.hex() if isinstance(entry, File | Folder) else None,
            os.fsdecode(path),
            os.fsdecode(entry.target) if isinstance(entry, Link) else None,
        )


def _shown(path: bytes, entry: Entry | Member) -> str:
    """The path of an entry; of a member that of its archive, and its own."""
    return os.fsdecode(path + b"/" + entry.path if isinstance(entry, Member) else path)


def _row(
    path: bytes, entry: Entry | Member, length: Callable[[Entry], int | None]
) -> dict[str, object]:
    if isinstance(entry, Member):
        return {"path": _shown(path, entry), **member_fields(entry)}
    return _fields(path, entry, length(entry))


def _mode(entry: Entry) -> int:
    if isinstance(entry, Device):
        return entry.meta.mode | (stat.S_IFBLK if entry.block else stat.S_IFCHR)
    kinds = {File: stat.S_IFREG, Folder: stat.S_IFDIR, Link: stat.S_IFLNK, Pipe: stat.S_IFIFO}
    return entry.meta.mode | kinds[type(entry)]


def _fields(path: bytes, entry: Entry, length: int | None) -> dict[str, object]:
    meta = entry.meta
    fields: dict[str, object] = {
        "path": os.fsdecode(path),
        "kind": _KINDS[type(entry)],
        "mode": f"{meta.mode:04o}",
        "mtime_ns": meta.mtime_ns,
        "uid": meta.uid,
        "gid": meta.gid,
        "user": meta.user,
        "group": meta.group,
        "attributes": {os.fsdecode(name): value.hex() for name, value in meta.attributes},
    }
    if isinstance(entry, File | Folder):
        fields["content"] = entry.content.id.hex()
    if length is not None:
        fields["length"] = length
    if isinstance(entry, Link):
        fields["target"] = os.fsdecode(entry.target)
    if isinstance(entry, Device):
        fields |= {"block": entry.block, "major": entry.major, "minor": entry.minor}
    if not isinstance(entry, Folder) and entry.first is not None:
        fields["first"] = os.fsdecode(entry.first)
    return fields
