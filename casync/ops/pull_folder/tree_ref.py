"""What a ref leads to when it may lead into a tree: a file, or a folder with all its structure."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, TypeAlias

from casync.access.outline import ObjectLoader
from casync.access.ports import Ports
from casync.access.tree_load import Tree, load_tree
from casync.errors import UsageError
from casync.ids import Kind, ManifestId
from casync.names.name import Ref
from casync.objects.codec import Packer
from casync.objects.manifest import Manifest, decode_manifest, encode_manifest
from casync.objects.tree import File, Folder
from casync.objects.tree_walk import find, root_of
from casync.ops.pull.file import PullOptions, resolve
from casync.ops.pull_folder.plan import FolderOptions
from casync.store.base import Batch

__all__ = ["Target", "file_or_tree", "follow", "tree_of"]

Target: TypeAlias = ManifestId | Tree
"""The manifest of a file, or a loaded tree."""


def follow(ref: Ref, ports: Ports) -> Target:
    """Finds what a ref leads to. Its structure is in the store of `ports` then.

    A file in a tree has the manifest that it has alone, which is made here.

    Raises:
        UsageError: It leads to a link, device or pipe, or into a file.
        NotFoundError: Nothing lies at the path.
        NoObjectError: Nobody has an object.
        IntegrityError: It is malformed, or everybody who has an object sends something else.
        RemoteError: Servers could not be asked.
    """
    ident = resolve(ref.whole, ports)
    loader = ObjectLoader(ports.store, [*ports.others, *ports.servers])
    (data,) = loader.plain(Kind.MANIFEST, [ident])
    manifest = decode_manifest(data)
    if manifest.kind == "file":
        if ref.path is not None:
            raise UsageError(f"{ref.whole} is a file; there is nothing inside")
        loader.flush()
        return ident
    path = b"/".join(filter(None, os.fsencode(ref.path or "").split(b"/")))
    entry = find(root_of(manifest, loader.plain), path, loader.plain)
    loader.flush()
    if isinstance(entry, Folder):
        tree = Tree(ident, manifest, entry, path, ports.store)
        load_tree(tree, loader)
        return tree
    if not isinstance(entry, File):
        raise UsageError(f"{ref} is a link, device or pipe, not a file or folder")
    alone = Packer().pack_new(
        Kind.MANIFEST, encode_manifest(Manifest("file", manifest.params, entry.content))
    )
    ports.store.commit(Batch(objects=[alone]))
    return ManifestId(alone.id)


def file_or_tree(
    ref: Ref,
    target: Path | BinaryIO | None,
    ports: Ports,
    options: PullOptions,
    folder_options: FolderOptions,
) -> Ref | Tree:
    """A tree where there is no doubt that one is meant, else the ref of what should be a file."""
    may_be_file = not (isinstance(target, Path) and target.is_dir())
    if ref.path is None and may_be_file and folder_options == FolderOptions():
        return ref
    found = follow(ref, ports)
    if isinstance(found, Tree):
        return _checked(found, target, options)
    if folder_options != FolderOptions():
        raise UsageError(f"{ref} is a file; --delete, --max-delete and --exact are for folders")
    return Ref(manifest=found)


def tree_of(ref: Ref, target: Path | BinaryIO | None, ports: Ports, options: PullOptions) -> Tree:
    """What turned out to be a tree."""
    found = follow(ref, ports)
    assert isinstance(found, Tree)
    return _checked(found, target, options)


def _checked(tree: Tree, target: Path | BinaryIO | None, options: PullOptions) -> Tree:
    """Refuses what cannot be done with a folder."""
    if options.in_place:
        raise UsageError("--in-place is for files; in a folder each file is replaced as a whole")
    if options.expect_sha256 is not None:
        raise UsageError("a folder has no SHA-256; --expect is for files")
    if target is not None and not isinstance(target, Path):
        raise UsageError("a folder does not fit into a stream", next_step="Name it with -o DIR.")
    return tree
