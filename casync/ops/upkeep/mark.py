"""Marking what manifests lead to. An object that cannot be read stops it: what is below is unknown.

Each distinct node and folder is read once. Chunks are not read, except those that hold folders.
"""

from __future__ import annotations

from array import array
from typing import Final

from casync.errors import DamagedStoreError, IntegrityError, NoObjectError
from casync.ids import Kind, ManifestId, ObjectId
from casync.objects.below import Below
from casync.objects.manifest import decode_manifest
from casync.store.base import ObjectSource
from casync.store.proved import ProvedReader

__all__ = ["Marker", "Marks"]

_NEXT: Final = "`casync verify` finds all damage, `casync store reindex` drops it."

_BUCKET_IDS: Final = 4096
"""Marks in one of 256 buckets before repeats are dropped."""


class Marker:
    """Marks below one manifest after the other. Used by one thread.

    Args:
        store: Where they are.
    """

    def __init__(self, store: ObjectSource) -> None:
        self._objects = ProvedReader(store)
        self._below = Below(self._objects.plain)
        self._manifests: set[bytes] = set()
        self._chunks = Marks()

    def is_marked(self, kind: Kind, ident: ObjectId) -> bool:
        """Whether a manifest that was marked leads to an object, or is it."""
        if kind is Kind.CHUNK:
            return ident in self._chunks
        return ident in (self._below.nodes if kind is Kind.NODE else self._manifests)

    def mark(self, ident: ManifestId) -> None:
        """Marks a manifest and everything below it.

        Raises:
            DamagedStoreError: Something cannot be read, or contradicts itself.
            UnsupportedError: It is newer than this program.
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
                f"what manifest {ident.hex()} needs cannot be told: {error.message}",
                next_step=_NEXT,
            ) from error


class Marks:
    """A set of ids, for many millions: each takes 8 to 16 bytes.

    It goes by 9 bytes of an id, so it may take an id for one that was added, and never the other
    way round. Asking is fast in the order of ids.
    """

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(256)]
        self._bounds = [_BUCKET_IDS] * 256
        self._open = -1
        self._set: frozenset[int] = frozenset()

    def add(self, ident: bytes) -> None:
        """Adds one."""
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
