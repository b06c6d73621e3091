"""Leaves: the lowest nodes of a content, found by offset."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from casync.errors import CasyncError
from casync.ids import NodeId, zero_chunk_id
from casync.limits import MAX_LENGTH
from casync.objects.chunk_runs import FindNode
from casync.objects.node import (
    Content,
    NodeBuilder,
    Record,
    Run,
    check_root,
    iter_records,
)

__all__ = ["LeafCursor", "Leaves", "LoadNodes", "lowest_nodes", "zero_nodes"]

LoadNodes: TypeAlias = Callable[[Sequence[NodeId]], object]
"""Loads nodes that will probably be read soon, as far as that is possible."""

_MOST_TOGETHER: Final = 64
"""Leaves that are loaded together: some 300 KiB."""

_LENGTH: Final = itemgetter(1)
"""Of a record."""


class Leaves(NamedTuple):
    """Chunks that lie end to end: those of a node of level 1, or the only one of a content.

    Attributes:
        start: Offset of the first chunk, in bytes.
        end: Offset after the last one.
        records: The chunks.
        starts: The offset of each.
    """

    start: int
    end: int
    records: list[Record]
    starts: list[int]

    def first(self, offset: int) -> int:
        """The index of the chunk that covers `offset`."""
        return bisect_right(self.starts, offset) - 1


class LeafCursor:
    """Finds leaves of one content. Ascending offsets read each node once.

    Args:
        content: A content that is not empty.
        find: Finds its nodes.
        load: Is told which nodes `find` will probably be asked for next, where leaves are read one
            after the other: reading many at once costs less.
    """

    def __init__(self, content: Content, find: FindNode, load: LoadNodes | None = None) -> None:
        self.content = content
        self._find = find
        self._load = load
        self._together = 1  # leaves to load
        self._loaded = 0  # the offset where those end that are loaded
        self._next = 0  # the offset where the last leaf ended
        whole = [Record(content.id, content.length)]
        self._path = [Leaves(0, content.length, whole, [0])]  # from the root to a leaf

    def at(self, offset: int) -> Leaves:
        """The leaf that covers `offset`.

        Raises:
            MalformedError: The root has a single record.
            CasyncError: What `find` raises.
        """
        path = self._path
        if path[-1].start <= offset < path[-1].end and len(path) > self.content.level:
            return path[-1]
        self._together = min(2 * self._together, _MOST_TOGETHER) if offset == self._next else 1
        while len(path) > 1 and not path[-1].start <= offset < path[-1].end:
            path.pop()
        while len(path) <= self.content.level:
            above = path[-1]
            index = above.first(offset)
            start = above.starts[index]
            ident, length = above.records[index]
            if len(path) == self.content.level:
                self._look_ahead(above, index)
            node = self._find(NodeId(ident), self.content.level - len(path) + 1, length)
            if len(path) == 1:
                check_root(node)
            starts = list(accumulate(map(_LENGTH, node.records), initial=start))
            path.append(Leaves(start, starts.pop(), node.records, starts))
        self._next = path[-1].end
        return path[-1]

    def _look_ahead(self, above: Leaves, index: int) -> None:
        """Loads a leaf together with some that follow it, if those before it were read."""
        end = index + self._together
        if self._load is None or self._together == 1 or above.starts[index] < self._loaded:
            return
        self._load([NodeId(record.id) for record in above.records[index:end]])
        self._loaded = above.starts[end] if end < len(above.starts) else above.end

    def chunks(self, start: int, end: int) -> Iterator[tuple[int, Record]]:
        """The chunks between two offsets with their own: from the one that covers `start`.

        Raises:
            CasyncError: As `at`.
        """
        while start < end:
            leaf = self.at(start)
            first, last = leaf.first(start), leaf.first(end - 1) + 1
            yield from zip(leaf.starts[first:last], leaf.records[first:last], strict=True)
            start = leaf.end


def lowest_nodes(content: Content, find: FindNode) -> Iterator[tuple[NodeId, int]]:
    """The distinct nodes of level 1 with an offset of each, as far as those above can be read."""
    seen: set[bytes] = set()
    todo = [(content.level, 0, Record(content.id, content.length))]
    while todo:
        level, offset, record = todo.pop()
        if level <= 1:
            if level:
                yield NodeId(record.id), offset
            continue
        try:
            records = find(NodeId(record.id), level, record.length).records
        except CasyncError:
            continue
        below: list[tuple[int, int, Record]] = []
        for inner in records:
            if inner.id not in seen:
                seen.add(inner.id)
                below.append((level - 1, offset, inner))
            offset += inner.length
        todo += reversed(below)


@lru_cache(maxsize=16)
def zero_nodes(max_size: int) -> dict[bytes, int]:
    """The nodes of all levels that a long hole is made of, with their plain bytes.

    Args:
        max_size: Bytes of the chunks that holes are cut into.
    """
    lengths: dict[bytes, int] = {}

    def emit(ident: NodeId, data: bytes) -> None:
        lengths[ident] = sum(length for _, length in iter_records(data))

    builder = NodeBuilder(emit)
    builder.add(Run(zero_chunk_id(max_size), max_size, MAX_LENGTH // max_size))
    builder.finish()
    return lengths
