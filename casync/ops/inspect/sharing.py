"""Computes how much of a store some manifests need, and how much of that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from casync.access.progress import SILENT, Progress
from casync.errors import NoObjectError
from casync.ids import Kind, ManifestId
from casync.objects.folder_sizes import FolderSizes
from casync.objects.manifest import decode_manifest
from casync.ops.upkeep.mark import Marker
from casync.store.base import ManifestState, ObjectStore
from casync.store.proved import ProvedReader

__all__ = ["Share", "sharing"]

_AT_ONCE: Final = 1024


class Share(NamedTuple):
    """The bytes that one of several manifests needs.

    Attributes:
        manifest: Its id.
        length: Plain bytes of its content.
        total: Bytes of the file, or of all files in the tree.
        stored: Stored bytes of all objects that it needs.
        own: Stored bytes of objects that none of the others needs.
        shared: For each of the manifests in order, itself included: stored bytes of the objects
            that both need.
    """

    manifest: ManifestId
    length: int
    total: int
    stored: int
    own: int
    shared: list[int]


def sharing(
    store: ObjectStore, manifests: Sequence[ManifestId], progress: Progress = SILENT
) -> list[Share]:
    """Compares the objects that full manifests of `store` need.

    Memory: 8 to 16 bytes per chunk and manifest.

    Raises:
        NoObjectError: A manifest is not full here.
        DamagedStoreError: A manifest or node cannot be read.
    """
    lengths: list[tuple[int, int]] = []
    reader = ProvedReader(store)
    folders = FolderSizes(reader.plain)
    markers: list[Marker] = []
    progress.start("marking", None)
    for ident in manifests:
        row = store.manifest(ident)
        if row is None or row.state is not ManifestState.FULL:
            raise NoObjectError(f"manifest {ident.hex()} is incomplete here")
        marker = Marker(store)
        marker.mark(ident)
        markers.append(marker)
        manifest = decode_manifest(reader.one(Kind.MANIFEST, ident))
        total = folders.of_manifest(manifest)
        assert total is not None  # it may take any number of reads
        lengths.append((row.length, total))
    progress.start("comparing", None)
    sizes: Counter[tuple[int, ...]] = Counter()  # bytes by the exact set of manifests
    for kind in Kind:
        ids = store.objects(kind)
        while group := list(islice(ids, _AT_ONCE)):
            for key, stat in zip(group, store.stat(kind, group), strict=True):
                needed_by = tuple(
                    number for number, marker in enumerate(markers) if marker.is_marked(kind, key)
                )
                if needed_by and stat is not None:
                    sizes[needed_by] += stat.stored
    return [
        _share(number, ident, both, sizes, len(manifests))
        for number, (ident, both) in enumerate(zip(manifests, lengths, strict=True))
    ]


def _share(
    number: int,
    ident: ManifestId,
    lengths: tuple[int, int],
    sizes: Counter[tuple[int, ...]],
    count: int,
) -> Share:
    mine = {numbers: size for numbers, size in sizes.items() if number in numbers}
    shared = [sum(size for numbers, size in mine.items() if n in numbers) for n in range(count)]
    return Share(ident, *lengths, shared[number], mine.get((number,), 0), shared)
