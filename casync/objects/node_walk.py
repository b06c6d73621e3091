"""What lies below a content: every distinct node once, level by level, fetched in batches.

Must not know where nodes are kept: the caller fetches and proves them. A node that repeats, in a
hole or in a graph made to explode, costs one visit; a node that is listed with two levels or two
lengths is told and not followed again, so the walk is never longer than the nodes that exist.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from casync.errors import MalformedError, UnsupportedError
from casync.ids import NodeId
from casync.limits import MAX_BATCH_IDS
from casync.objects.node import LONE_ROOT, Content, Node, decode_node

__all__ = ["FetchNodes", "Marks", "Reached", "Seen", "Visit", "check_visited_root", "walk_nodes"]

_BUCKET_IDS: Final = 4096
"""Marks in one of 256 buckets before repeats are dropped."""

FetchNodes: TypeAlias = Callable[[Sequence[NodeId]], Iterable[bytes | None]]
"""Gives the plain, proved bytes of each node, in order; None for one that cannot be had."""


class Visit(NamedTuple):
    """What a node was visited for, and whether it has a single record."""

    level: int
    length: int
    is_lone: bool = False


Seen: TypeAlias = dict[NodeId, Visit]
"""Nodes that were visited."""


class Reached(NamedTuple):
    """A node that was come to.

    Attributes:
        id: Its id.
        node: What it holds; None if it could not be had or is malformed.
        fault: Why it is malformed, or empty.
    """

    id: NodeId
    node: Node | None
    fault: str


def walk_nodes(content: Content, fetch: FetchNodes, seen: Seen) -> Iterator[Reached]:
    """Visits the nodes below `content` that are not in `seen`, the upper levels first.

    Args:
        content: Where to begin. A content of level 0 has no nodes.
        fetch: Gets nodes, at most `MAX_BATCH_IDS` in one call.
        seen: Grows by every node visited. Share it between walks to visit a node once in all.

    Raises:
        What `fetch` raises.
    """
    wanted = {NodeId(content.id): content.length} if content.level else {}
    for level in range(content.level, 0, -1):
        below: dict[NodeId, int] = {}
        fresh: list[NodeId] = []
        for ident, length in wanted.items():
            visit = seen.get(ident)
            if visit is None:
                seen[ident] = Visit(level, length)
                fresh.append(ident)
            elif visit[:2] != (level, length):
                yield _contradicted(ident)
        for start in range(0, len(fresh), MAX_BATCH_IDS):
            part = fresh[start : start + MAX_BATCH_IDS]
            for ident, data in zip(part, fetch(part), strict=True):
                reached = _decoded(ident, data, level, wanted[ident])
                if reached.node is not None and len(reached.node.records) == 1:
                    seen[ident] = Visit(level, wanted[ident], is_lone=True)
                yield reached
                if level == 1 or reached.node is None:
                    continue
                for record in reached.node.records:
                    child = NodeId(record.id)
                    if below.setdefault(child, record.length) != record.length:
                        yield _contradicted(child)
        wanted = below


def _decoded(ident: NodeId, data: bytes | None, level: int, length: int) -> Reached:
    if data is None:
        return Reached(ident, None, "")
    try:
        return Reached(ident, decode_node(data, level, length), "")
    except (MalformedError, UnsupportedError) as error:
        return Reached(ident, None, error.message)


def check_visited_root(content: Content, seen: Seen) -> None:
    """Refuses a content whose root, which was visited, has a single record.

    Raises:
        MalformedError: As `node.check_root`.
    """
    visit = seen.get(NodeId(content.id))
    if visit is not None and visit.is_lone:
        raise MalformedError(f"node {content.id.hex()}: {LONE_ROOT}")


def _contradicted(ident: NodeId) -> Reached:
    return Reached(ident, None, "node that is listed with two levels or two lengths")


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
