"""Every object that a manifest leads to, in batches that a request takes. Nothing is kept of them.

Each distinct node and folder is read once. A chunk that several nodes list may come several times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from casync.errors import DamagedObjectError, MalformedError
from casync.ids import Kind, ManifestId, NodeId, ObjectId
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.codec import Packed, Unpacker
from casync.objects.manifest import decode_manifest
from casync.objects.node import Content
from casync.objects.node_walk import Seen, check_visited_root, walk_nodes
from casync.objects.tree_walk import contents
from casync.store.base import ObjectSource

__all__ = ["ALL", "ObjectBatch", "Part", "reachable"]

_BATCH_BYTES: Final = 16 * MIB
"""Plain bytes of a batch: what breaks off with a connection, at worst."""

_NODE_BYTES: Final = 8 * 1024
"""Plain bytes of a node, about; it tells what is below it, and not its own length."""

_SEEN_CHUNKS: Final = 1 << 16
"""Chunks of the last batches that are not told again."""


class Part(NamedTuple):
    """A share of the ids: those that are `number` modulo `shares`."""

    number: int
    shares: int

    def has(self, ident: bytes) -> bool:
        """Whether an id belongs to it."""
        return int.from_bytes(ident[:8], "big") % self.shares == self.number % self.shares


ALL: Final = Part(1, 1)


class ObjectBatch(NamedTuple):
    """Objects of one kind.

    Attributes:
        kind: Their kind.
        ids: Their ids, each once.
        length: Plain bytes of content in them: of chunks, and nothing else.
    """

    kind: Kind
    ids: list[ObjectId]
    length: int


class _Gathering:
    """Objects of one kind until they make a batch."""

    def __init__(self, kind: Kind, part: Part) -> None:
        self._kind = kind
        self._part = part
        self._ids: dict[ObjectId, int] = {}
        self._length = 0
        self._told: set[ObjectId] = set()

    def add(self, ident: ObjectId, length: int) -> Iterator[ObjectBatch]:
        """Takes one more; yields a batch when that is full."""
        if not self._part.has(ident) or ident in self._ids or ident in self._told:
            return
        if self._ids and self._length + length > _BATCH_BYTES:
            yield self.batch()
        self._ids[ident] = length
        self._length += length
        if len(self._ids) == MAX_BATCH_IDS:
            yield self.batch()

    def rest(self) -> Iterator[ObjectBatch]:
        """What is left."""
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


class _Walk:
    def __init__(self, source: ObjectSource, part: Part) -> None:
        self._source = source
        self._unpacker = Unpacker()
        self._seen: Seen = {}
        self._chunks = _Gathering(Kind.CHUNK, part)
        self._nodes = _Gathering(Kind.NODE, part)
        self._manifests = _Gathering(Kind.MANIFEST, part)

    def below(self, ident: ManifestId) -> Iterator[ObjectBatch]:
        (data,) = self._plain(Kind.MANIFEST, [ident])
        for content in contents(decode_manifest(data), self._plain):
            if content.level:
                yield from self._walk(content)
            elif content.length:
                yield from self._chunks.add(NodeId(content.id), content.length)
        yield from self._chunks.rest()
        yield from self._nodes.rest()
        yield from self._manifests.add(ident, 0)
        yield from self._manifests.rest()

    def _walk(self, content: Content) -> Iterator[ObjectBatch]:
        for reached in walk_nodes(content, self._fetch, self._seen):
            if reached.node is None:
                raise MalformedError(f"node {reached.id.hex()}: {reached.fault}")
            yield from self._nodes.add(reached.id, _NODE_BYTES)
            if reached.node.level == 1:
                for record in reached.node.records:
                    yield from self._chunks.add(NodeId(record.id), record.length)
        check_visited_root(content, self._seen)

    def _fetch(self, ids: Sequence[NodeId]) -> Iterable[bytes]:
        return self._plain(Kind.NODE, ids)

    def _plain(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes]:
        for ident, answer in zip(ids, self._source.get(kind, ids), strict=True):
            if not isinstance(answer, Packed):
                raise DamagedObjectError(
                    f"{kind.name.lower()} {ident.hex()} is {answer.value}",
                    next_step="`casync verify` finds all of it.",
                )
            yield self._unpacker.unpack(answer)


def reachable(ident: ManifestId, source: ObjectSource, part: Part = ALL) -> Iterator[ObjectBatch]:
    """Every object below a full manifest, and itself last.

    Args:
        ident: The manifest.
        source: Where all of it is.
        part: Which of them.

    Raises:
        DamagedObjectError, MalformedError: Something cannot be read, or contradicts itself.
        UnsupportedError: It is newer than this program.
    """
    return _Walk(source, part).below(ident)
