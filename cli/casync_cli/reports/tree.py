"""Lists the entries of a folder, for people and as JSON."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from casync.access.locate import locate
from casync.access.tree_load import Tree
from casync.errors import IntegrityError, NoObjectError
from casync.names.name import Ref
from casync.objects.folder_sizes import FolderSizes
from casync.objects.tree import Device, File, Folder, Link, Pipe
from casync.store.proved import ProvedReader
from casync_cli.columns import Column, moments, sizes
from casync_cli.parsing.times import format_moment

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

    Raises:
        CasyncError: As `locate` and `Tree.listing`.
    """
    found = locate(ref, source)
    if isinstance(found.content, Tree):
        listed = found.content.listing(recursive=recursive)
    else:
        assert found.entry is not None  # a whole file has no entries
        listed = iter([(found.path, found.entry)])
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
        entries = [_fields(path, entry, length(entry)) for path, entry in listed]
        output.document("casync.ls-tree/1", {"manifest": found.manifest.hex(), "entries": entries})
        return
    if not long:
        for path, _ in listed:
            output.row(os.fsdecode(path))
        return
    listing = output.listing(
        Column("mode", 10),
        sizes("length"),
        moments("time"),
        Column("content", 64, exact_only=not full),
        Column("path"),
        Column("target"),
    )
    for path, entry in listed:
        listing.row(
            stat.filemode(_mode(entry)),
            length(entry),
            format_moment(entry.meta.mtime_ns // 1_000_000_000),
            entry.content.id.hex() if isinstance(entry, File | Folder) else None,
            os.fsdecode(path),
            os.fsdecode(entry.target) if isinstance(entry, Link) else None,
        )


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
