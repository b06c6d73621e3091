"""The last step of preparing a tree: its manifest, listed in the commit that makes it whole."""

from __future__ import annotations

from casync.access.naming import add_name
from casync.cutting.batch_writer import BatchWriter
from casync.cutting.small_files import cut_small
from casync.ids import Kind, ManifestId
from casync.names.name import NameRecord
from casync.objects.codec import Packer
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.tree import Folder, encode_root
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.tree_writer import TreeWriter
from casync.store.base import Batch, ManifestState

__all__ = ["publish_tree"]


def publish_tree(
    root: Folder,
    tree_writer: TreeWriter,
    writer: BatchWriter,
    options: PrepareOptions,
    relied: ManifestId | None,
) -> tuple[ManifestId, NameRecord | None]:
    """Ends a tree whose entries are all taken.

    Args:
        root: The folder itself.
        tree_writer: Has taken its entries.
        writer: Writes the rest, and the manifest with it.
        options: Chunk sizes, and the name that it gets.
        relied: The tree whose content was taken over unseen.

    Returns:
        The hash, and the version that the name got.

    Raises:
        NoSpaceError, WriteError, NoObjectError, LostRaceError: As `ObjectStore.commit`.
    """
    content = tree_writer.take(cut_small(encode_root(root), options.params))
    tree_writer.flush()
    manifest = Manifest("tree", options.params, content)
    packed = Packer(options.level).pack_new(Kind.MANIFEST, encode_manifest(manifest))
    ident = ManifestId(packed.id)
    batch = Batch(objects=[packed], manifests=[(ident, ManifestState.FULL, content.length)])
    add_name(batch, options.name, ident, options.signer)
    if relied is not None:
        batch.relies.append(relied)
    names = writer.finish(batch).names
    return ident, names[0] if names else None
