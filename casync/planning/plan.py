"""Plans where the bytes of a target come from.

Nodes are matched first (`casync.planning.node_match`). What is left are chunks that no seed has
with their whole node. Those of a part of the target are held in memory, and the chunks of the seeds
are streamed past them: an index of everything old would end at some size.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice
from struct import Struct
from typing import Final, NamedTuple, Protocol

from casync.ids import NodeId, zero_chunk_id
from casync.objects.chunker import ChunkerParams
from casync.objects.leaves import lowest_nodes
from casync.objects.node import Content, Record, check_root, iter_records
from casync.planning.node_match import FetchNodes, NodeMatcher, OldTree, Unmatched
from casync.planning.stretches import REPEAT, WANTED, ZERO, Stretch, joined
from casync.planning.wanted_chunks import WantedChunks

__all__ = ["PART_CHUNKS", "Block", "ChunkList", "PlanInput", "all_chunks", "plan"]

_FIRST_CHUNKS: Final = 1 << 13
PART_CHUNKS: Final = 1 << 17
"""Chunks that are matched together: 23 MiB of memory. The seeds are streamed once for each part, so
parts are large; the first ones are smaller, so that fetching begins at once."""

_TOGETHER: Final = 128
"""Nodes that are fetched together."""

_WORTH: Final = 300
"""Fetching a chunk costs as much as streaming this many."""

_PLACED: Final = Struct("<32sQ?")


class Block(NamedTuple):
    """Chunks of one place.

    Attributes:
        ids: Their ids.
        offsets: Where they lie. Computed when they are needed, which is rare.
    """

    ids: Sequence[bytes]
    offsets: Callable[[], Iterable[int]]


class ChunkList(Protocol):
    """The chunks of a seed whose nodes are not known.

    Attributes:
        number: The number of the seed.
    """

    number: int

    def blocks(self, wanted: WantedChunks) -> Iterable[Block]:
        """Its chunks in order; none if it certainly has none of `wanted`."""
        ...


@dataclass(frozen=True, slots=True)
class PlanInput:
    """What a plan is made from.

    Attributes:
        contents: Returns the contents of the target, each with its offset, in order.
        fetch: Fetches their nodes.
        read: Reads the encodings of nodes that were fetched.
        params: The chunk sizes of the target and the seeds.
        trees: Seeds whose nodes are known.
        lists: Seeds whose chunks are listed.
        target: The number of the seed that is overwritten in place; None if none is. Its chunks
            stay where they are, if they may.
        repeats: Whether the target can be read back.
        part_chunks: Chunks that are matched together.
    """

    contents: Callable[[], Iterable[tuple[int, Content]]]
    fetch: FetchNodes
    read: Callable[[Sequence[NodeId]], Iterable[bytes]]
    params: ChunkerParams
    trees: Sequence[OldTree] = ()
    lists: Sequence[ChunkList] = ()
    target: int | None = None
    repeats: bool = True
    part_chunks: int = PART_CHUNKS


def plan(given: PlanInput) -> Iterator[Stretch]:
    """The stretches that tile a target, in order, worked out as they are taken.

    Raises:
        MalformedError: A chunk is listed with two lengths, or a root has a single record.
        CasyncError: A node of the target cannot be fetched.
    """
    return joined(_Planner(given).stretches())


class _Part:
    """Wanted chunks, and the stretches between them."""

    def __init__(self, hole: Record) -> None:
        self.items: list[Stretch | range] = []  # ranges are of chunks
        self.chunks = WantedChunks()
        self._hole = hole

    def add(self, offset: int, records: Sequence[Record]) -> None:
        """Adds the chunks of a node."""
        while self._hole in records:
            index = records.index(self._hole)
            offset = self._add(offset, records[:index])
            self.items.append(Stretch(offset, self._hole.length, ZERO))
            offset += self._hole.length
            records = records[index + 1 :]
        self._add(offset, records)

    def _add(self, offset: int, records: Sequence[Record]) -> int:
        begin = len(self.chunks)
        if records:
            self.chunks.add(offset, records)
            self.items.append(range(begin, len(self.chunks)))
        return offset + sum(self.chunks.lengths[begin:])

    def wanted(self, chunks: range) -> Stretch:
        """Adjacent chunks as one stretch."""
        offsets, last = self.chunks.offsets, chunks.stop - 1
        end = offsets[last] + self.chunks.lengths[last]
        return Stretch(offsets[chunks.start], end - offsets[chunks.start], WANTED)


class _Planner:
    """One run through a target."""

    def __init__(self, given: PlanInput) -> None:
        self._given = given
        size = given.params.max_size
        # Where the chunks of the target are only listed, a node that repeats may be there already.
        is_listed = any(one.number == given.target for one in given.lists)
        self._nodes = NodeMatcher(
            given.trees,
            given.fetch,
            size,
            target=given.target,
            repeats=given.repeats and not is_listed,
        )
        self._hole = Record(zero_chunk_id(size), size)
        self._part_chunks = _FIRST_CHUNKS
        self._missing = 0  # chunks of the part that nothing has so far
        self._earlier = bytearray()  # nodes of level 1 of earlier parts, and chunks without a node
        self._listed = bytearray()  # the same of this part

    def stretches(self) -> Iterator[Stretch]:
        """The stretches, one for each chunk that is matched by itself."""
        part = _Part(self._hole)
        together: list[Stretch | Unmatched] = []
        count = 0
        for item in self._nodes.match(self._given.contents()):
            together.append(item)
            count += isinstance(item, Unmatched)
            if count == _TOGETHER:
                self._list(together, part)
                together, count = [], 0
                if len(part.chunks) >= self._part_chunks:
                    yield from self._resolved(part)
                    part = _Part(self._hole)
                    self._part_chunks = min(2 * self._part_chunks, self._given.part_chunks)
        self._list(together, part)
        yield from self._resolved(part)

    def _list(self, items: list[Stretch | Unmatched], part: _Part) -> None:
        """Adds items to a part, nodes as what they list."""
        unmatched = (item for item in items if isinstance(item, Unmatched))
        distinct = list(dict.fromkeys(item.record for item in unmatched if item.level))
        nodes = dict(zip(distinct, self._given.fetch(1, distinct), strict=True))
        for item in items:
            if isinstance(item, Stretch):
                part.items.append(item)
                continue
            records = [item.record]
            if item.level:
                if item.is_root:
                    check_root(nodes[item.record])
                records = nodes[item.record].records
            part.add(item.offset, records)
            if self._given.repeats:
                self._listed += _PLACED.pack(item.record.id, item.offset, item.level > 0)

    def _resolved(self, part: _Part) -> Iterator[Stretch]:
        origins, sources = self._match(part)
        chunks, repeats = part.chunks, self._given.repeats
        is_new = self._missing == len(chunks)  # all of it: nothing matches, and nothing repeats
        for item in part.items:
            if isinstance(item, Stretch):
                yield item
                continue
            if is_new:
                yield part.wanted(item)
                continue
            for index in item:
                origin, source, offset = origins[index], sources[index], chunks.offsets[index]
                if origin == WANTED and (known := chunks.first[index]) != index:
                    origin, source = origins[known], sources[known]
                    if origin == WANTED and repeats:
                        origin, source = REPEAT, chunks.offsets[known]
                yield Stretch(offset, chunks.lengths[index], origin, source)

    def _match(self, part: _Part) -> tuple[array[int], array[int]]:
        """Origins and sources of chunks: of the first place of each, and of those that stay.

        Raises:
            MalformedError: A chunk is listed with two lengths.
        """
        chunks = part.chunks
        chunks.seal()
        origins = array("i", [WANTED]) * len(chunks)
        sources = array("Q", [0]) * len(chunks)
        self._missing = chunks.distinct
        for number, blocks in self._streams(part):
            stays = number == self._given.target
            for block in blocks:
                found = list(chunks.among(block.ids))
                offsets = list(block.offsets()) if found else []
                for position, index in found:
                    offset = offsets[position]
                    if origins[index] == WANTED:
                        origins[index], sources[index] = number, offset
                        self._missing -= 1
                    if stays and (index := chunks.at(offset, block.ids[position])) >= 0:
                        origins[index], sources[index] = number, offset
        self._earlier += self._listed
        self._listed.clear()
        return origins, sources

    def _streams(self, part: _Part) -> Iterator[tuple[int, Iterable[Block]]]:
        """Everything that may have chunks of a part, the cheapest first."""
        given = self._given
        for tree in given.trees if part.chunks else ():
            if self._missing or tree.number == given.target:
                rest = self._nodes.rest(tree.number)
                yield tree.number, _listed(tree, rest)
        if self._missing:
            yield REPEAT, self._before()
        for tree in given.trees:
            old_chunks = tree.content.length // given.params.avg_size
            if tree.number in self._nodes.partners and self._missing * _WORTH >= old_chunks:
                streamed = {ident for ident, _ in self._nodes.rest(tree.number)}
                yield tree.number, all_chunks(tree, streamed)
        for chunk_list in given.lists:
            if self._missing or (part.chunks and chunk_list.number == given.target):
                yield chunk_list.number, chunk_list.blocks(part.chunks)

    def _before(self) -> Iterator[Block]:
        """The chunks of earlier parts of the target."""
        step = _TOGETHER * _PLACED.size
        for at in range(0, len(self._earlier), step):
            rows = list(_PLACED.iter_unpack(self._earlier[at : at + step]))
            nodes = [NodeId(ident) for ident, _, is_node in rows if is_node]
            datas = iter(self._given.read(nodes) if nodes else ())
            for ident, offset, is_node in rows:
                yield _block(iter_records(next(datas)) if is_node else [(ident, 0)], offset)


def _block(records: Iterable[tuple[bytes, int]], offset: int) -> Block:
    """What records list from an offset on."""
    ids, lengths = zip(*records, strict=True)
    return Block(ids, partial(accumulate, lengths[:-1], initial=offset))


def _listed(tree: OldTree, nodes: Iterable[tuple[NodeId, int]]) -> Iterator[Block]:
    """The chunks of nodes of level 1; the only chunk of a content without nodes."""
    if tree.content.level == 0:
        yield Block([tree.content.id], lambda: [0])
    rest = iter(nodes)
    while together := list(islice(rest, _TOGETHER)):
        datas = tree.read([ident for ident, _ in together])
        for (_, offset), data in zip(together, datas, strict=True):
            if data is not None:
                yield _block(iter_records(data), offset)


def all_chunks(tree: OldTree, without: Container[NodeId] = ()) -> Iterator[Block]:
    """The chunks of an old content, as far as its nodes can be read, each at one of its places.

    Args:
        tree: The content.
        without: Nodes of level 1 to leave out.
    """
    nodes = lowest_nodes(tree.content, tree.find)
    return _listed(tree, ((ident, offset) for ident, offset in nodes if ident not in without))
