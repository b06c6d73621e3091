"""What a ref leads to: the content of a file, or a tree.

A ref is resolved here, once, and what was found stays what it is when a name moves on. `_locate`
alone decides what lies inside of what, for readers of one source and for pulls alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from casync.access.outline import CACHED_NODES, ObjectLoader, Outline, load_outline
from casync.access.ports import Ports
from casync.access.tree_load import Tree, load_tree
from casync.errors import UsageError
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
        manifest: The manifest that the ref was resolved to.
        path: Where in it, names joined by `/`; empty for all of it.
        entry: What a folder says of it; None for a file that is all of a manifest.
        content: The content of a file, or a folder; None for a link, a device or a pipe.
    """

    manifest: ManifestId
    path: bytes
    entry: Entry | None
    content: Outline | Tree | None


def locate(ref: Ref, source: ManifestSource, *, cached_nodes: int = CACHED_NODES) -> Located:
    """Finds what a ref leads to in one source. What is below is read when it is wanted.

    Args:
        ref: A manifest of `source`, with a path inside if wanted. Links are not followed.
        source: A store or a server.
        cached_nodes: Decoded nodes of a file to keep.

    Raises:
        UsageError: It leads into a file.
        NotFoundError: Nothing has the name, or lies at the path.
        NoObjectError, IntegrityError: An object on the way is missing or damaged.
        UnsupportedError: The manifest is newer than this program.
    """
    ident = source.resolve(ref.whole)
    return _locate(ident, ref, source, ProvedReader(source).plain, cached_nodes)


def open_file(ref: Ref, source: ManifestSource) -> Outline:
    """The content of a file in one source; an empty path in `ref` means all of a file, too.

    Raises:
        UsageError: It is something else.
        CasyncError: As `locate`.
    """
    match locate(ref if ref.path else ref.whole, source).content:
        case Outline() as outline:
            return outline
        case found:
            what = "link, device or pipe" if found is None else "folder"
            raise UsageError(
                f"{ref} is a {what}, not a file", next_step="Name a file in it, as REF:PATH."
            )


def locate_for_pull(ref: Ref, ports: Ports, loader: ObjectLoader) -> Outline | Tree:
    """Finds what a ref leads to in stores and servers. `load` brings in what is below it.

    A file in a tree gets the manifest that it has alone.

    Args:
        ref: What is wanted.
        ports: Resolve it.
        loader: Gets objects, and keeps those that are on the way.

    Raises:
        UsageError: It is a link, a device or a pipe, or leads into a file.
        NotFoundError: Nothing has the name, or lies at the path.
        NoObjectError: No source has an object.
        IntegrityError: An object is malformed, or all sources that have it send something else.
        RemoteError: Servers could not be asked.
        UnsupportedError: The manifest is newer than this program.
    """
    ident = ports.resolve(ref.whole)
    found = _locate(ident, ref, loader.store, loader.plain, CACHED_NODES)
    content = found.content
    if content is None:
        raise UsageError(f"{ref} is a link, device or pipe, not a file or folder")
    if isinstance(content, Outline) and found.entry is not None:
        alone = Packer().pack_new(Kind.MANIFEST, encode_manifest(content.manifest))
        loader.keep(alone)
        return Outline(ManifestId(alone.id), content.manifest, loader.store)
    return content


def load(found: Outline | Tree, loader: ObjectLoader) -> None:
    """Brings all nodes and folders of what was found into the store of `loader`.

    Raises:
        NoObjectError, IntegrityError, RemoteError: As `locate_for_pull`.
    """
    match found:
        case Outline():
            load_outline(found, loader)
        case Tree():
            load_tree(found, loader)


def fetch(ref: Ref, ports: Ports) -> Outline | Tree:
    """Finds what a ref leads to, and brings all its nodes and folders into the store of `ports`.

    Raises:
        CasyncError: As `locate_for_pull` and `load`.
    """
    loader = ObjectLoader(ports.store, [*ports.others, *ports.servers])
    found = locate_for_pull(ref, ports, loader)
    load(found, loader)
    return found


def _locate(
    ident: ManifestId,
    ref: Ref,
    source: ObjectSource,
    objects: Callable[[Kind, Sequence[ObjectId]], Iterable[bytes]],
    cached_nodes: int,
) -> Located:
    """Goes from a manifest to what lies at the path of `ref` in it.

    Args:
        ident: The manifest.
        ref: What was resolved to it.
        source: Where what is found reads its nodes later on.
        objects: Gets the proved objects on the way.
        cached_nodes: As of `locate`.
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
    content: Outline | Tree | None = None
    match entry:
        case Folder():
            content = Tree(ident, manifest, entry, path, source)
        case File():
            alone = Manifest("file", manifest.params, entry.content)
            content = Outline(ident, alone, source, cached_nodes=cached_nodes)
    return Located(ident, path, entry, content)
