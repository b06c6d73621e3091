"""Lists every object below a manifest, in batches that fit into requests, with bounded memory.

Each distinct node and folder is read once. A chunk that several nodes list may come several times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from casync.errors import DamagedObjectError
from casync.ids import ChunkId, Kind, ManifestId, ObjectId
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.below import Below
from casync.objects.manifest import decode_manifest
from casync.store.base import ObjectSource
from casync.store.proved import ProvedReader

__all__ = ["ALL", "ObjectBatch", "Part", "reachable"]

_BATCH_BYTES: Final = 16 * MIB
"""Plain bytes of a batch: at most this must be sent again when a connection breaks."""

_NODE_BYTES: Final = 8 * 1024
"""Typical plain bytes of a node: records of nodes have the length of content instead."""

_SEEN_CHUNKS: Final = 1 << 16
"""Recent objects that are not listed again."""


class Part(NamedTuple):
    """A share of the ids: those that equal `number` modulo `shares`."""

    number: int
    shares: int

    def has(self, ident: bytes) -> bool:
        """Whether an id belongs to the share."""
        return int.from_bytes(ident[:8], "big") % self.shares == self.number % self.shares


ALL: Final = Part(1, 1)


class ObjectBatch(NamedTuple):
    """Objects of one kind.

    Attributes:
        kind: Their kind.
        ids: Their ids, without repeats.
        length: Plain bytes of chunks; 0 for other kinds.
    """

    kind: Kind
    ids: list[ObjectId]
    length: int


class _Gathering:
    """Gathers objects of one kind into batches."""

    def __init__(self, kind: Kind, part: Part) -> None:
        self._kind = kind
        self._part = part
        self._ids: dict[ObjectId, int] = {}
        self._length = 0
        self._told: set[ObjectId] = set()

    def add(self, ident: ObjectId, length: int) -> Iterator[ObjectBatch]:
        """Adds an object; yields a batch when one is full."""
        if not self._part.has(ident) or ident in self._ids or ident in self._told:
            return
        if self._ids and self._length + length > _BATCH_BYTES:
            yield self.batch()
        self._ids[ident] = length
        self._length += length
        if len(self._ids) == MAX_BATCH_IDS:
            yield self.batch()

    def rest(self) -> Iterator[ObjectBatch]:
        """The last batch, if it is not empty."""
        if self._ids:
            yield self.batch()

    def batch(self) -> ObjectBatch:
        ids = list(self._ids)
        batch = ObjectBatch(self._kind, ids, self._length if self._kind is Kind.CHUNK else 0)
        if len(self._told) > _SEEN_CHUNKS:
            self._told.clear()
        self._told.update(ids)
        self._ids, self._length = {}, 0
        return batch


def reachable(ident: ManifestId, source: ObjectSource, part: Part = ALL) -> Iterator[ObjectBatch]:
    """Every object below a full manifest, and the manifest itself last.

    Args:
        ident: The manifest.
        source: Has all objects.
        part: The share of the objects to list.

    Raises:
        DamagedObjectError, MalformedError: An object cannot be read, or is malformed.
        UnsupportedError: An object is newer than this program.
    """
    objects = ProvedReader(source, missing=DamagedObjectError)
    chunks, nodes, manifests = (
        _Gathering(kind, part) for kind in (Kind.CHUNK, Kind.NODE, Kind.MANIFEST)
    )
    manifest = decode_manifest(objects.one(Kind.MANIFEST, ident))
    for reached in Below(objects.plain, strict=True).walk(manifest):
        reached.check()
        if reached.id is not None:
            yield from nodes.add(reached.id, _NODE_BYTES)
        for record in reached.chunks:
            yield from chunks.add(ChunkId(record.id), record.length)
    yield from chunks.rest()
    yield from nodes.rest()
    yield from manifests.add(ident, 0)
    yield from manifests.rest()
