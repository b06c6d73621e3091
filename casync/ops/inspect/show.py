"""Counts what one manifest consists of: chunks, repeats, zeros, sizes, stored bytes.

Each distinct node above the lowest level is visited once, together with its number of occurrences,
so neither a hole of 10 TB nor a hostile graph of nodes is slow. Distinct chunks are counted
exactly, with several passes over the nodes to bound memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from casync.access.progress import SILENT, Progress
from casync.errors import MalformedError
from casync.ids import ChunkId, Kind, ManifestId, NodeId, ObjectId, zero_chunk_id
from casync.limits import MAX_BATCH_IDS
from casync.objects.chunker import ChunkerParams
from casync.objects.manifest import decode_manifest
from casync.objects.node import Content, Node, Record, decode_node
from casync.store.base import ObjectSource
from casync.store.proved import ProvedReader

__all__ = ["Statistics", "show"]

_SEEN_IDS: Final = 1 << 21
"""Ids remembered in one pass: some 150 MiB."""

_RECORDS_OF_A_NODE: Final = 128
"""Average records of a node, to choose the number of passes."""


class Statistics(NamedTuple):
    """The statistics of a manifest.

    Attributes:
        manifest: Its id.
        kind: `file` or `tree`.
        params: Chunk sizes of the content.
        length: Plain bytes of the content.
        chunks: Number of chunks, with repeats.
        distinct: Number of distinct chunks.
        zero: Plain bytes in chunks of zeros, which never travel.
        nodes: Number of distinct nodes.
        stored: Stored bytes of the manifest, the nodes and the distinct chunks; other manifests
            may share them.
        missing: Number of distinct objects that the source lacks.
        histogram: Number of chunks by length, with repeats: key 2**n counts those of at least
            2**n and less than 2**(n + 1) bytes.
    """

    manifest: ManifestId
    kind: str
    params: ChunkerParams
    length: int
    chunks: int
    distinct: int
    zero: int
    nodes: int
    stored: int
    missing: int
    histogram: dict[int, int]


def show(ident: ManifestId, source: ObjectSource, progress: Progress = SILENT) -> Statistics:
    """Computes the statistics of the manifest `ident` of `source`.

    Raises:
        NoObjectError, IntegrityError: The manifest or a node is missing or damaged.
        RemoteError: Requests to the source failed.
    """
    return _Counting(source, progress).run(ident)


class _Use(NamedTuple):
    """A node that occurs `times` in the content, and the bytes that it covers each time."""

    length: int
    times: int


class _Leaf(NamedTuple):
    """A node of level 1 and how often it occurs."""

    id: NodeId
    node: Node
    times: int


class _Counting:
    def __init__(self, source: ObjectSource, progress: Progress) -> None:
        self._source = source
        self._progress = progress
        self._objects = ProvedReader(source)
        self._histogram: Counter[int] = Counter()
        self._zero = 0
        self._stored = 0
        self._missing = 0
        self._nodes = 0
        self._distinct = 0

    def run(self, ident: ManifestId) -> Statistics:
        data = self._fetch(Kind.MANIFEST, [ident])[ident]
        manifest = decode_manifest(data)
        content, params = manifest.content, manifest.params
        self._weigh(Kind.MANIFEST, [ident])
        if content.level:
            self._count_nodes(content, params)
        elif content.length:
            self._count_records([Record(content.id, content.length)], 1, params)
            self._weigh(Kind.CHUNK, [ChunkId(content.id)])
            self._distinct = 1
        # Of the chunks that are all zeros, only the last one may be shorter than the maximum.
        last = self._last_chunk(content)
        if last.length < params.max_size and last.id == zero_chunk_id(last.length):
            self._zero += last.length
        return Statistics(
            manifest=ident,
            kind=manifest.kind,
            params=params,
            length=content.length,
            chunks=self._histogram.total(),
            distinct=self._distinct,
            zero=self._zero,
            nodes=self._nodes,
            stored=self._stored,
            missing=self._missing,
            histogram=dict(sorted(self._histogram.items())),
        )

    def _count_nodes(self, content: Content, params: ChunkerParams) -> None:
        upper, leaves = self._upper_nodes(content)
        passes = 1 + leaves * _RECORDS_OF_A_NODE // _SEEN_IDS
        self._progress.start("counting", content.length * passes)
        for number in range(passes):
            seen: set[int] = set()
            for leaf in self._leaves(content, upper):
                if number == 0:
                    self._count_records(leaf.node.records, leaf.times, params)
                self._nodes += self._weigh_new(Kind.NODE, [leaf.id], seen, number, passes)
                ids = [ChunkId(record.id) for record in leaf.node.records]
                self._distinct += self._weigh_new(Kind.CHUNK, ids, seen, number, passes)
                self._progress.advance(leaf.node.length * leaf.times)

    def _upper_nodes(self, content: Content) -> tuple[dict[NodeId, _Use], int]:
        """The nodes of level 2, and the number of nodes that they list. Counts those above."""
        uses = {NodeId(content.id): _Use(content.length, 1)}
        if content.level == 1:
            return {}, 1
        leaves = 0
        for level in range(content.level, 1, -1):
            below: dict[NodeId, _Use] = {}
            for ids in _batches(uses):
                self._nodes += len(ids)
                self._weigh(Kind.NODE, ids)
                for ident, node in self._nodes_of(ids, uses, level):
                    if level == 2:
                        leaves += len(node.records)
                    else:
                        _add_uses(below, node.records, uses[ident].times)
            if level > 2:
                uses = below
        return uses, leaves

    def _leaves(self, content: Content, upper: dict[NodeId, _Use]) -> Iterator[_Leaf]:
        """The nodes of level 1. A node that several nodes of level 2 list comes several times."""
        if content.level == 1:
            uses = {NodeId(content.id): _Use(content.length, 1)}
            yield from self._leaves_of(uses)
            return
        for ids in _batches(upper):
            for ident, node in self._nodes_of(ids, upper, 2):
                uses = {}
                _add_uses(uses, node.records, upper[ident].times)
                yield from self._leaves_of(uses)

    def _leaves_of(self, uses: dict[NodeId, _Use]) -> Iterator[_Leaf]:
        for ident, node in self._nodes_of(list(uses), uses, 1):
            yield _Leaf(ident, node, uses[ident].times)

    def _nodes_of(
        self, ids: list[NodeId], uses: dict[NodeId, _Use], level: int
    ) -> Iterator[tuple[NodeId, Node]]:
        plain = self._fetch(Kind.NODE, ids)
        for ident in ids:
            yield ident, decode_node(plain[ident], level, uses[ident].length)

    def _last_chunk(self, content: Content) -> Record:
        record = Record(content.id, content.length)
        for level in range(content.level, 0, -1):
            plain = self._fetch(Kind.NODE, [NodeId(record.id)])[record.id]
            record = decode_node(plain, level, record.length).records[-1]
        return record

    def _count_records(self, records: Iterable[Record], times: int, params: ChunkerParams) -> None:
        zero = zero_chunk_id(params.max_size)
        for record in records:
            self._histogram[1 << (record.length.bit_length() - 1)] += times
            if record.id == zero:
                self._zero += record.length * times

    def _weigh_new(
        self,
        kind: Kind,
        ids: Sequence[ObjectId],
        seen: set[int],
        number: int,
        passes: int,
    ) -> int:
        """Weighs the new ids that belong to this pass; returns their number."""
        new: list[ObjectId] = []
        for ident in ids:
            # Eight bytes of an id are enough for a count: collisions are negligible.
            short = int.from_bytes(ident[:8], "big")
            if short % passes == number and short not in seen:
                seen.add(short)
                new.append(ident)
        self._weigh(kind, new)
        return len(new)

    def _weigh(self, kind: Kind, ids: Sequence[ObjectId]) -> None:
        for stat in self._source.stat(kind, ids) if ids else []:
            if stat is None:
                self._missing += 1
            else:
                self._stored += stat.stored

    def _fetch(self, kind: Kind, ids: Sequence[ObjectId]) -> dict[bytes, bytes]:
        return dict(zip(ids, self._objects.plain(kind, ids), strict=True))


def _add_uses(uses: dict[NodeId, _Use], records: Iterable[Record], times: int) -> None:
    for record in records:
        ident = NodeId(record.id)
        known = uses.get(ident, _Use(record.length, 0))
        if known.length != record.length:
            raise MalformedError(f"node {ident.hex()} is listed with two lengths")
        uses[ident] = _Use(record.length, known.times + times)


def _batches(uses: dict[NodeId, _Use]) -> Iterator[list[NodeId]]:
    ids = list(uses)
    for start in range(0, len(ids), MAX_BATCH_IDS):
        yield ids[start : start + MAX_BATCH_IDS]
