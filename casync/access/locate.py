"""Resolves a ref to a file, a tree, or a member of an archive.

A ref is resolved once, so the result stays the same when the name moves on. `_locate` walks paths
into trees, and on into the archives in them, for readers of one source and for pulls alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from casync.access.archive import Archive, MemberContent, open_archive
from casync.access.content_file import FileBytes, Readable
from casync.access.endpoints import Endpoints, place_of
from casync.access.member_indexes import MemberIndexes, indexes_of
from casync.access.near_member import near_member
from casync.access.nearest import NearestSource
from casync.access.outline import CACHED_NODES, ObjectLoader, Outline, load_outline
from casync.access.progress import SILENT, Progress
from casync.access.tree_load import Tree, load_tree
from casync.archives.member import MemberKind
from casync.errors import CasyncError, NotFoundError, UsageError
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Ref
from casync.objects.codec import Packer
from casync.objects.manifest import Manifest, decode_manifest, encode_manifest
from casync.objects.tree import Entry, File, Folder
from casync.objects.tree_walk import find, root_of
from casync.store.base import ManifestSource, ObjectSource
from casync.store.proved import ProvedReader

__all__ = [
    "FoundMember",
    "Located",
    "WalkedPath",
    "fetch",
    "load",
    "locate",
    "locate_for_pull",
    "nothing_at",
    "open_archive_at",
    "open_file",
    "reach",
    "readable",
]


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


class FoundMember(NamedTuple):
    """A member of an archive that a pull is to write.

    Attributes:
        manifest: The manifest that the ref resolves to: the archive, or a tree that has it.
        archive: The archive.
        member: The bytes.
        source: Has their chunks.
    """

    manifest: ManifestId
    archive: Outline
    member: MemberContent
    source: NearestSource


def locate(
    ref: Ref,
    source: ManifestSource,
    *,
    indexes: MemberIndexes | None = None,
    cached_nodes: int = CACHED_NODES,
    progress: Progress = SILENT,
) -> Located:
    """Finds what a ref leads to in one source. Nodes and folders below it are read lazily.

    Args:
        ref: A manifest of `source`, optionally with a path inside. Links are not followed.
        source: A store or a server.
        indexes: Keeps the indexes of archives; None for the source itself.
        cached_nodes: Decoded nodes of a file to cache.
        progress: Advances while the index of an archive is made.

    Raises:
        UsageError: The path leads into a file that is no archive.
        NotFoundError: There is no such name, or nothing at the path.
        NoObjectError, IntegrityError: An object on the way is missing or damaged.
        UnsupportedError: The manifest is newer than this program.
    """
    found = reach(ref, source, cached_nodes=cached_nodes)
    if not found.rest:
        return found.located
    member = _member(ref, found, source, indexes or indexes_of(source), progress)
    path = b"/".join(filter(None, (found.located.path, found.rest)))
    return Located(found.located.manifest, path, None, member)


def reach(
    ref: Ref,
    source: ManifestSource,
    *,
    ident: ManifestId | None = None,
    cached_nodes: int = CACHED_NODES,
) -> WalkedPath:
    """As `locate`, but a path that goes on inside a file is not followed there.

    Args:
        ref: As in `locate`.
        source: As in `locate`.
        ident: The manifest that `ref` resolves to, if that is known.
        cached_nodes: As in `locate`.

    Raises:
        CasyncError: As `locate`.
    """
    ident = ident or source.resolve(ref.whole)
    return _walk(ident, ref, source, ProvedReader(source).plain, cached_nodes)


def open_file(
    ref: Ref,
    source: ManifestSource,
    *,
    indexes: MemberIndexes | None = None,
    progress: Progress = SILENT,
) -> Readable:
    """The bytes of a file in one source. An empty path in `ref` stands for the whole manifest.

    Args:
        ref: The ref.
        source: A store or a server.
        indexes: As of `locate`.
        progress: As of `locate`.

    Raises:
        UsageError: The ref leads to something other than a file.
        CasyncError: As `locate`.
    """
    whole = ref if ref.path else ref.whole
    return readable(ref, locate(whole, source, indexes=indexes, progress=progress), source)


def readable(ref: Ref, found: Located, source: ManifestSource) -> Readable:
    """The bytes of what a ref leads to in a source.

    Raises:
        UsageError: It is something other than a file.
    """
    match found.content:
        case Outline() as outline:
            return FileBytes(outline, source)
        case MemberContent() as member:
            return member
        case other:
            what = "link, device or pipe" if other is None else "folder"
            raise UsageError(
                f"{ref} is a {what}, not a file", next_step="Give a file in a folder as REF:PATH."
            )


def locate_for_pull(
    ref: Ref,
    endpoints: Endpoints,
    loader: ObjectLoader,
    progress: Progress = SILENT,
    *,
    is_expected: bool = False,
) -> Outline | Tree | FoundMember:
    """Finds what a ref leads to in stores and servers. `load` fetches what is below it.

    A file in a tree gets the manifest that it would have on its own.

    Args:
        ref: A hash or a name, optionally with a path inside.
        endpoints: Resolve the ref.
        loader: Fetches and stores the objects on the path.
        progress: Advances while the index of an archive is made.
        is_expected: Whether the caller knows a digest of the result. Then, and for a hash, indexes
            of archives are made here; otherwise a server may give them.

    Raises:
        UsageError: The ref leads to a link, a device or a pipe, or into a file that is no archive.
        NotFoundError: There is no such name, or nothing at the path.
        NoObjectError: No source has an object.
        IntegrityError: An object is malformed, or every source that has it sends other bytes.
        RemoteError: Requests to servers failed.
        UnsupportedError: The manifest is newer than this program.
    """
    ident = endpoints.resolve(ref.whole)
    located, rest = _walk(ident, ref, loader.store, loader.plain, CACHED_NODES)
    content = located.content
    if content is None:
        raise UsageError(f"{ref} is a link, device or pipe, not a file or folder")
    if rest:
        assert isinstance(content, Outline)
        archive = Outline(content.id, content.manifest, loader.store, plain=loader.plain)
        inside = WalkedPath(located._replace(content=archive), rest)
        chunks = NearestSource(endpoints)
        indexes = indexes_of(endpoints.memory)
        if endpoints.servers and ref.manifest is None and not is_expected:
            indexes = indexes_of(endpoints.servers[0], indexes)
        member = _member(ref, inside, chunks, indexes, progress)
        return FoundMember(ident, archive, member, chunks)
    if isinstance(content, Outline) and located.entry is not None:
        alone = Packer().pack_new(Kind.MANIFEST, encode_manifest(content.manifest))
        loader.keep(alone)
        ident = ManifestId(alone.id)
    if isinstance(content, Outline):
        return Outline(ident, content.manifest, loader.store, plain=loader.plain)
    assert isinstance(content, Tree)
    return content


def load(found: Outline | Tree, loader: ObjectLoader) -> None:
    """Fetches all nodes and folders of `found` into the store of `loader`.

    Raises:
        NoObjectError, IntegrityError, RemoteError: As `locate_for_pull`.
    """
    if isinstance(found, Outline):
        load_outline(found, loader)
    else:
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
    if isinstance(found, FoundMember):
        raise UsageError(f"{ref} is a member of an archive, not a file or folder")
    load(found, loader)
    return found


class WalkedPath(NamedTuple):
    """Where a path leads as far as trees go.

    Attributes:
        located: What is there. For a path that goes on inside a file, the file.
        rest: How the path goes on there.
    """

    located: Located
    rest: bytes


def _walk(
    ident: ManifestId,
    ref: Ref,
    source: ObjectSource,
    objects: Callable[[Kind, Sequence[ObjectId]], Iterable[bytes]],
    cached_nodes: int,
) -> WalkedPath:
    """Walks from a manifest to the path of `ref` inside it.

    Args:
        ident: The manifest that `ref` resolves to.
        ref: The ref.
        source: Where the result reads its nodes later.
        objects: Reads and proves the objects on the path.
        cached_nodes: As in `locate`.
    """
    (data,) = objects(Kind.MANIFEST, [ident])
    manifest = decode_manifest(data)
    names = os.fsencode(ref.path or "").split(b"/")
    path = b"/".join(name for name in names if name not in {b"", b"."})
    if manifest.kind == "file":
        outline = Outline(ident, manifest, source, cached_nodes=cached_nodes)
        if ref.path is not None and not path:
            raise UsageError(f"{ref.whole} is a file, not a folder")
        return WalkedPath(Located(ident, b"", None, outline), path)
    entry, rest = _find(root_of(manifest, objects), path, objects)
    if entry is None:
        raise NotFoundError(
            f"{ref.whole} has no {os.fsdecode(path)}",
            next_step=f"`casync ls {ref.whole}:` lists what it has.",
        )
    content: Outline | Tree | None = None
    match entry:
        case Folder():
            content = Tree(ident, manifest, entry, path, source)
        case File():
            alone = Manifest("file", manifest.params, entry.content)
            content = Outline(ident, alone, source, cached_nodes=cached_nodes)
    there = path[: len(path) - len(rest)].rstrip(b"/")
    return WalkedPath(Located(ident, there, entry, content), rest)


def _nothing_inside(ref: Ref, found: WalkedPath) -> CasyncError:
    """The error of a path that goes on inside a file where it cannot."""
    located = found.located
    if located.entry is None:
        return UsageError(f"{ref.whole} is a file, not a folder")
    file = f"{ref.whole}:{os.fsdecode(located.path)}"
    return NotFoundError(f"{file} is a file, not a folder")


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


def open_archive_at(
    ref: Ref,
    found: WalkedPath,
    source: ObjectSource,
    indexes: MemberIndexes,
    progress: Progress = SILENT,
) -> Archive:
    """The archive in which a path goes on. `progress` advances while its index is made.

    Raises:
        UsageError: The file that is a whole manifest is no archive.
        NotFoundError: The file in a tree is none.
        CasyncError: As `open_archive`.
    """
    located = found.located
    assert isinstance(located.content, Outline)
    name = os.fsdecode(located.path) or ref.name or ""
    outline, path = located.content, located.path
    last, is_proved = name.rpartition("/")[2], ref.manifest is not None
    archive = open_archive(
        outline, source, indexes, last, path, is_proved=is_proved, progress=progress
    )
    if archive is None:
        raise _nothing_inside(ref, found)
    return archive


def _member(
    ref: Ref,
    found: WalkedPath,
    source: ObjectSource,
    indexes: MemberIndexes,
    progress: Progress,
) -> MemberContent:
    """The member of an archive to which a path goes on inside a file.

    Raises:
        UsageError: The member is not a file, or the file that is a whole manifest is no archive.
        NotFoundError: The archive has no such member, or the file in a tree is none.
        CasyncError: As `open_archive`.
    """
    archive = open_archive_at(ref, found, source, indexes, progress)
    there = archive.find(found.rest)
    if there is not None and there.kind is MemberKind.FOLDER:
        raise nothing_at(ref, found, archive)
    member = archive.open(found.rest)
    if member is None:
        raise nothing_at(ref, found, archive)
    return member


def nothing_at(ref: Ref, found: WalkedPath, archive: Archive) -> CasyncError:
    """The error of a path at which an archive has no member, or a folder."""
    located, rest = found
    whole = f"{ref.whole}:{os.fsdecode(located.path)}" if located.path else str(ref.whole)
    inside, mark = os.fsdecode(rest), "/" if located.path else ":"
    if archive.find(rest) or next(archive.members(rest + b"/"), None):
        return UsageError(
            f"{whole}{mark}{inside} is a folder in the archive",
            next_step=f"`casync archive get {whole}{mark}{inside} --extract DIR` writes it; "
            f"`casync archive ls {whole} --prefix {inside}/` lists it.",
        )
    step, near = f"`casync archive ls {whole}` lists what it has.", near_member(archive, rest)
    step = f"Did you mean {whole}{mark}{os.fsdecode(near)}? {step}" if near else step
    return NotFoundError(f"the archive {whole} has no {inside}", next_step=step)
