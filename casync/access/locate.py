"""Resolves a ref to the content of a file, or to a tree.

A ref is resolved once, so the result stays the same when the name moves on. `_locate` walks paths
into trees, for readers of one source and for pulls alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

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
from casync.store.base import ManifestSource, ObjectSource
from casync.store.proved import ProvedReader

__all__ = ["Located", "fetch", "load", "locate", "locate_for_pull", "open_file"]


class Located(NamedTuple):
    """What a ref leads to.

    Attributes:
        manifest: The manifest that the ref resolves to.
        path: The path inside it, names joined by `/`; empty for the whole.
        entry: The entry in its folder; None for a file that is a whole manifest.
        content: The content of a file, or a folder; None for a link, a device or a pipe.
    """

    manifest: ManifestId
    path: bytes
    entry: Entry | None
    content: Outline | Tree | None


def locate(ref: Ref, source: ManifestSource, *, cached_nodes: int = CACHED_NODES) -> Located:
    """Finds what a ref leads to in one source. Nodes and folders below it are read lazily.

    Args:
        ref: A manifest of `source`, optionally with a path inside. Links are not followed.
        source: A store or a server.
        cached_nodes: Decoded nodes of a file to cache.

    Raises:
        UsageError: The path leads into a file.
        NotFoundError: There is no such name, or nothing at the path.
        NoObjectError, IntegrityError: An object on the way is missing or damaged.
        UnsupportedError: The manifest is newer than this program.
    """
    ident = source.resolve(ref.whole)
    return _locate(ident, ref, source, ProvedReader(source).plain, cached_nodes)


def open_file(ref: Ref, source: ManifestSource) -> Outline:
    """The content of a file in one source. An empty path in `ref` stands for the whole manifest.

    Raises:
        UsageError: The ref leads to something other than a file.
        CasyncError: As `locate`.
    """
    match locate(ref if ref.path else ref.whole, source).content:
        case Outline() as outline:
            return outline
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
    found = _locate(ident, ref, loader.store, loader.plain, CACHED_NODES)
    content = found.content
    if content is None:
        raise UsageError(f"{ref} is a link, device or pipe, not a file or folder")
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
    cached_nodes: int,
) -> Located:
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
    if manifest.kind == "file":
        if ref.path is not None:
            raise UsageError(f"{ref.whole} is a file; there is nothing inside")
        outline = Outline(ident, manifest, source, cached_nodes=cached_nodes)
        return Located(ident, b"", None, outline)
    path = b"/".join(filter(None, os.fsencode(ref.path or "").split(b"/")))
    entry = find(root_of(manifest, objects), path, objects)
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
    return Located(ident, path, entry, content)
