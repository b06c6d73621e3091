"""Marks everything below manifests. An unreadable object is an error: its descendants are unknown.

Each distinct node and folder is read once. Of the chunks, only those of folders are read.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final

from casync.errors import DamagedStoreError, IntegrityError, NoObjectError, UnsupportedError
from casync.ids import ChunkId, Kind, ManifestId, ObjectId
from casync.objects.below import Below, walk_nodes
from casync.objects.manifest import decode_manifest
from casync.objects.node import Content
from casync.store.base import ObjectSource
from casync.store.proved import ProvedReader

__all__ = ["Marker", "Marks"]

_NEXT: Final = "`casync verify` finds all damage, `casync store reindex` drops it."

_BUCKET_IDS: Final = 4096
"""Marks in one of the 256 buckets before repeats are dropped."""


class Marker:
    """Marks the objects of manifests. Used by one thread.

    Args:
        store: The store that has the manifests.
    """

    def __init__(self, store: ObjectSource) -> None:
        self._objects = ProvedReader(store)
        self._below = Below(self._objects.plain)
        self._manifests: set[bytes] = set()
        self._chunks = Marks()

    def is_marked(self, kind: Kind, ident: ObjectId) -> bool:
        """Whether an object is a marked manifest, or is below one."""
        if kind is Kind.CHUNK:
            return ident in self._chunks
        return ident in (self._below.nodes if kind is Kind.NODE else self._manifests)

    def mark(self, ident: ManifestId) -> None:
        """Marks a manifest and everything below it.

        Raises:
            DamagedStoreError: An object cannot be read, or is malformed.
            UnsupportedError: An object is newer than this program.
        """
        self._manifests.add(ident)
        try:
            manifest = decode_manifest(self._objects.one(Kind.MANIFEST, ident))
            for reached in self._below.walk(manifest):
                reached.check()
                for record in reached.chunks:
                    self._chunks.add(record.id)
        except (IntegrityError, NoObjectError) as error:
            raise DamagedStoreError(
                f"cannot read everything below manifest {ident.hex()}: {error.message}",
                next_step=_NEXT,
            ) from error

    def mark_chunks(self, ids: Iterable[ChunkId]) -> None:
        """Marks chunks that no node leads to."""
        for ident in ids:
            self._chunks.add(ident)

    def mark_index(self, index: Content) -> bool:
        """Marks a member index. Returns whether all its nodes could be read."""
        if index.level == 0:
            self._chunks.add(index.id)
            return True
        try:
            for reached in walk_nodes(
                [index], self._objects.plain, self._below.nodes, strict=False
            ):
                reached.check()
                for record in reached.chunks:
                    self._chunks.add(record.id)
        except (IntegrityError, NoObjectError, UnsupportedError):
            return False
        return True

    def is_marked_content(self, ident: bytes) -> bool:
        """Whether an id is that of a marked chunk or node."""
        return ident in self._chunks or ident in self._below.nodes


class Marks:
    """A set of many millions of ids: each takes 8 to 16 bytes.

    It compares 9 bytes of ids, so it may have false positives, but no false negatives. Look-ups are
    fast in the order of ids.
    """

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(256)]
        self._bounds = [_BUCKET_IDS] * 256
        self._open = -1
        self._set: frozenset[int] = frozenset()

    def add(self, ident: bytes) -> None:
        """Adds an id."""
        first = ident[0]
        bucket = self._buckets[first]
        bucket.append(_mark(ident))
        if len(bucket) > self._bounds[first]:
            self._buckets[first] = bucket = array("Q", set(bucket))
            self._bounds[first] = max(_BUCKET_IDS, 2 * len(bucket))
        self._open = -1

    def __contains__(self, ident: bytes) -> bool:
        if ident[0] != self._open:
            self._open = ident[0]
            self._set = frozenset(self._buckets[self._open])
        return _mark(ident) in self._set


def _mark(ident: bytes) -> int:
    return int.from_bytes(ident[1:9], "little")
