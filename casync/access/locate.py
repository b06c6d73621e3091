"""Resolves a ref to a file, a tree, or a member of an archive.

A ref is resolved once, so the result stays the same when the name moves on. `_locate` walks paths
into trees, and on into the archives in them, for readers of one source and for pulls alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from casync.access.archive import PASSING, MemberContent, MemberIndexes, open_archive
from casync.access.content_file import FileBytes, Readable
from casync.access.endpoints import Endpoints, place_of
from casync.access.outline import CACHED_NODES, ObjectLoader, Outline, load_outline
from casync.access.tree_load import Tree, load_tree
from casync.errors import NotFoundError, UsageError
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Ref
from casync.objects.codec import Packer
from casync.objects.manifest import Manifest, decode_manifest, encode_manifest
from casync.objects.tree import Entry, File, Folder
from casync.objects.tree_walk import find, root_of
from casync.store.base import ManifestSource, ManifestState, ObjectSource
from casync.store.proved import ProvedReader

__all__ = ["Located", "fetch", "load", "locate", "locate_for_pull", "open_file"]


class Located(NamedTuple):
    """What a ref leads to.

    Attributes:
        manifest: The manifest that the ref resolves to.
        path: The path inside it, names joined by `/`; empty for the whole.
        entry: The entry in its folder; None for a file that is a whole manifest.
        content: The content of a file, a folder, or the bytes of a member of an archive; None for a
            link, a device or a pipe.
    """

    manifest: ManifestId
    path: bytes
    entry: Entry | None
    content: Outline | Tree | MemberContent | None


def locate(
    ref: Ref,
    source: ManifestSource,
    *,
    indexes: MemberIndexes = PASSING,
    cached_nodes: int = CACHED_NODES,
) -> Located:
    """Finds what a ref leads to in one source. Nodes and folders below it are read lazily.

    Args:
        ref: A manifest of `source`, optionally with a path inside. Links are not followed.
        source: A store or a server.
        indexes: Keeps the indexes of archives.
        cached_nodes: Decoded nodes of a file to cache.

    Raises:
        UsageError: The path leads into a file that is no archive.
        NotFoundError: There is no such name, or nothing at the path.
        NoObjectError, IntegrityError: An object on the way is missing or damaged.
        UnsupportedError: The manifest is newer than this program.
    """
    ident = source.resolve(ref.whole)
    return _locate(ident, ref, source, ProvedReader(source).plain, indexes, cached_nodes)


def open_file(ref: Ref, source: ManifestSource, *, indexes: MemberIndexes = PASSING) -> Readable:
    """The bytes of a file in one source. An empty path in `ref` stands for the whole manifest.

    Raises:
        UsageError: The ref leads to something other than a file.
        CasyncError: As `locate`.
    """
    match locate(ref if ref.path else ref.whole, source, indexes=indexes).content:
        case Outline() as outline:
            return FileBytes(outline, source)
        case MemberContent() as member:
            return member
        case found:
            what = "link, device or pipe" if found is None else "folder"
            raise UsageError(
                f"{ref} is a {what}, not a file", next_step="Give a file in a folder as REF:PATH."
            )


def locate_for_pull(ref: Ref, endpoints: Endpoints, loader: ObjectLoader) -> Outline | Tree:
    """Finds what a ref leads to in stores and servers. `load` fetches what is below it.

    A file in a tree gets the manifest that it would have on its own.

    Args:
        ref: A hash or a name, optionally with a path inside.
        endpoints: Resolve the ref.
        loader: Fetches and stores the objects on the path.

    Raises:
        UsageError: The ref leads to a link, a device or a pipe, or into a file.
        NotFoundError: There is no such name, or nothing at the path.
        NoObjectError: No source has an object.
        IntegrityError: An object is malformed, or every source that has it sends other bytes.
        RemoteError: Requests to servers failed.
        UnsupportedError: The manifest is newer than this program.
    """
    ident = endpoints.resolve(ref.whole)
    archives = _whole(ident, endpoints)
    found = _locate(ident, ref, loader.store, loader.plain, PASSING, CACHED_NODES, archives)
    content = found.content
    if content is None:
        raise UsageError(f"{ref} is a link, device or pipe, not a file or folder")
    if isinstance(content, MemberContent):
        raise UsageError(
            f"{ref} is a member of an archive",
            next_step=f"`casync archive get {ref} -o FILE` writes it.",
        )
    if isinstance(content, Outline) and found.entry is not None:
        alone = Packer().pack_new(Kind.MANIFEST, encode_manifest(content.manifest))
        loader.keep(alone)
        ident = ManifestId(alone.id)
    if isinstance(content, Outline):
        return Outline(ident, content.manifest, loader.store, plain=loader.plain)
    return content


def load(found: Outline | Tree, loader: ObjectLoader) -> None:
    """Fetches all nodes and folders of `found` into the store of `loader`.

    Raises:
        NoObjectError, IntegrityError, RemoteError: As `locate_for_pull`.
    """
    match found:
        case Outline():
            load_outline(found, loader)
        case Tree():
            load_tree(found, loader)


def fetch(ref: Ref, endpoints: Endpoints) -> Outline | Tree:
    """Finds what a ref leads to, and fetches all its nodes and folders into the store.

    Raises:
        CasyncError: As `locate_for_pull` and `load`.
    """
    loader = ObjectLoader(
        endpoints.store,
        [*endpoints.others, *((place_of(server), server) for server in endpoints.servers)],
    )
    found = locate_for_pull(ref, endpoints, loader)
    load(found, loader)
    return found


def _locate(
    ident: ManifestId,
    ref: Ref,
    source: ObjectSource,
    objects: Callable[[Kind, Sequence[ObjectId]], Iterable[bytes]],
    indexes: MemberIndexes,
    cached_nodes: int,
    archives: ObjectSource | None = None,
) -> Located:
    """Walks from a manifest to the path of `ref` inside it.

    Args:
        ident: The manifest that `ref` resolves to.
        ref: The ref.
        source: Where the result reads its nodes later.
        objects: Reads and proves the objects on the path.
        indexes: Keeps the indexes of archives.
        cached_nodes: As in `locate`.
        archives: Has everything below archives; by default `source`.
    """
    chunks = archives or source
    (data,) = objects(Kind.MANIFEST, [ident])
    manifest = decode_manifest(data)
    path = b"/".join(filter(None, os.fsencode(ref.path or "").split(b"/")))
    if manifest.kind == "file":
        if ref.path is None:
            outline = Outline(ident, manifest, source, cached_nodes=cached_nodes)
            return Located(ident, b"", None, outline)
        name = (ref.name or "").rpartition("/")[2]
        outline = Outline(ident, manifest, chunks)
        member = _member(outline, chunks, indexes, path, ref.whole, name)
        if member is None:
            raise UsageError(f"{ref.whole} is a file, not an archive; there is nothing inside")
        return Located(ident, path, None, member)
    entry, rest = _find(root_of(manifest, objects), path, objects)
    if entry is None:
        raise NotFoundError(
            f"{ref.whole} has no {os.fsdecode(path)}",
            next_step=f"`casync ls {ref.whole}:` lists what it has.",
        )
    content: Outline | Tree | MemberContent | None = None
    match entry:
        case Folder():
            content = Tree(ident, manifest, entry, path, source)
        case File():
            alone = Manifest("file", manifest.params, entry.content)
            content = Outline(ident, alone, source, cached_nodes=cached_nodes)
    if rest and isinstance(content, Outline):
        whole = f"{ref.whole}:{os.fsdecode(path[: -len(rest) - 1])}"
        outline = Outline(ident, content.manifest, chunks)
        member = _member(outline, chunks, indexes, rest, whole, os.fsdecode(entry.name))
        if member is None:
            raise NotFoundError(f"{whole} is a file, not an archive; there is nothing inside")
        return Located(ident, path, None, member)
    return Located(ident, path, entry, content)


def _whole(ident: ManifestId, endpoints: Endpoints) -> ObjectSource:
    """A source that has everything below a manifest, as far as one is known."""
    for store in endpoints.local:
        row = store.manifest(ident)
        if row is not None and row.state is ManifestState.FULL:
            return store
    return next(iter(endpoints.servers), endpoints.memory)


def _find(
    root: Folder,
    path: bytes,
    objects: Callable[[Kind, Sequence[ObjectId]], Iterable[bytes]],
) -> tuple[Entry | None, bytes]:
    """The entry at a path, or the file on the way to it with the rest of the path."""
    names = path.split(b"/") if path else []
    entry: Entry | None = root
    for number, name in enumerate(names):
        if isinstance(entry, File):
            return entry, b"/".join(names[number:])
        entry = find(entry, name, objects) if isinstance(entry, Folder) else None
    return entry, b""


def _member(
    outline: Outline,
    source: ObjectSource,
    indexes: MemberIndexes,
    path: bytes,
    whole: object,
    name: str,
) -> MemberContent | None:
    """A member of the archive that a file is; None if it is no archive.

    Raises:
        UsageError: The member is not a file.
        NotFoundError: It has no such member.
        CasyncError: As `open_archive`.
    """
    archive = open_archive(outline, source, indexes, name)
    if archive is None:
        return None
    member = archive.open(path)
    if member is not None:
        return member
    if next(archive.members(path + b"/" if path else b""), None) is not None:
        raise UsageError(
            f"{whole}:{os.fsdecode(path)} is a folder in an archive",
            next_step=f"`casync archive ls {whole} --prefix {os.fsdecode(path)}/` lists it.",
        )
    raise NotFoundError(
        f"the archive {whole} has no {os.fsdecode(path)}",
        next_step=f"`casync archive ls {whole}` lists what it has.",
    )
