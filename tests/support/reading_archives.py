"""What is read of an archive: by index, as a tree, and by a program that extracted it."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TypeAlias

from casync.access.archive import Archive
from casync.archives.member import Member, MemberKind
from casync.fs.source.stream import StreamSource
from casync.names.name import Name, parse_ref
from casync.objects.tree import File, Folder, Link
from casync.ops.archive.list_members import archive_and_path, list_members
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.prepare.prepared import FolderPrepared
from casync.ops.prepare.unpack import prepare_archive
from casync.store.base import ObjectStore
from casync.store.memory import MemoryStore
from tests.support.tree_worlds import PARAMS, bytes_of, tree

Shown: TypeAlias = bytes | str | None
"""The bytes of a file, the target of a symbolic link, None for a folder."""


def opened(data: bytes, name: str = "archive", store: MemoryStore | None = None) -> Archive:
    """An archive that was put into a store in memory."""
    store = store or MemoryStore()
    prepare(StreamSource(io.BytesIO(data)), store, PrepareOptions(params=PARAMS, name=Name(name)))
    return archive_and_path(parse_ref(name), store)[0]


def members_read(archive: Archive) -> dict[bytes, Shown]:
    """All members by path, each read through the index."""
    return {one.path: _shown(archive, one) for one in list_members(archive)}


def _shown(archive: Archive, member: Member) -> Shown:
    if member.kind is MemberKind.SYMLINK:
        return os.fsdecode(member.target)
    if member.kind in (MemberKind.FOLDER, MemberKind.OTHER):
        return None
    content = archive.open(member.path)
    assert content is not None
    return b"".join(map(bytes, content.read(0, content.length)))


def prepared_archive(data: bytes, store: ObjectStore, label: str = "archive") -> FolderPrepared:
    """An archive as a tree in a store."""
    options = PrepareOptions(params=PARAMS, workers=1)
    return prepare_archive(StreamSource(io.BytesIO(data), label), store, options)


def members_unpacked(data: bytes, label: str = "archive") -> dict[bytes, Shown]:
    """All entries of the tree that an archive becomes."""
    store = MemoryStore()
    ident = prepared_archive(data, store, label).manifest
    found: dict[bytes, Shown] = {}
    for path, entry in tree(store, ident).items():
        if isinstance(entry, File):
            found[path] = bytes_of(store, ident, os.fsdecode(path))
        elif isinstance(entry, Link):
            found[path] = os.fsdecode(entry.target)
        elif isinstance(entry, Folder) and path:
            found[path] = None
    return found


def files_on_disk(root: Path) -> dict[bytes, Shown]:
    """What a program has extracted, without pipes and devices."""
    found: dict[bytes, Shown] = {}
    for path in root.rglob("*"):
        name = os.fsencode(path.relative_to(root))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_dir():
            found[name] = None
        elif path.is_file():
            found[name] = path.read_bytes()
    return found
