"""Matches trees of nodes from the top: what an old content has is never read, listed or fetched.

New and old contents are walked side by side, level by level. A new node that an old content has on
the same level is a stretch, and nothing below it is looked at. Only old nodes without a partner are
read, so the work follows what changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from casync.errors import CasyncError
from casync.ids import NodeId
from casync.objects.chunk_runs import FindNode
from casync.objects.leaves import zero_nodes
from casync.objects.node import Content, Node, Record, check_root
from casync.planning.stretches import REPEAT, STILL_ZERO, ZERO, Stretch

__all__ = ["FetchNodes", "NodeMatcher", "OldTree", "Unmatched"]

_TOGETHER: Final = 64
"""Nodes whose children are matched together: 32 thousand of them at most, in 9 MiB."""

FetchNodes: TypeAlias = Callable[[int, Sequence[Record]], Sequence[Node]]
"""Returns nodes of one level, in the order of their records."""


class OldTree(NamedTuple):
    """The nodes of a seed.

    Attributes:
        number: The number of the seed.
        content: Its content.
        find: Finds its nodes.
        read: Reads the encodings of many nodes; None for one that cannot be read.
    """

    number: int
    content: Content
    find: FindNode
    read: Callable[[Sequence[NodeId]], Iterable[bytes | None]]


class Unmatched(msgspec.Struct, frozen=True, gc=False):
    """A node or a chunk of the target that no seed has as a whole.

    Attributes:
        offset: Where it begins in the target, in bytes.
        level: Its level; 0 for a chunk.
        record: Its id and length.
        is_root: It is the root of its content.
    """

    offset: int
    level: int
    record: Record
    is_root: bool = False


_Item: TypeAlias = Stretch | Unmatched


class _OldNode(NamedTuple):
    """The first place of a node in the seeds."""

    number: int
    offset: int
    length: int


class NodeMatcher:
    """Matches new contents with seeds.

    Args:
        trees: The seeds whose nodes are known.
        fetch: Fetches nodes of the new contents.
        max_size: Bytes of the chunks that holes are cut into.
        target: The number of the seed that is overwritten in place, if its nodes are known. What it
            has where it belongs stays.
        repeats: Whether the target can be read back, so that a node that repeats is a copy.

    Attributes:
        partners: The numbers of the seeds that have a node of the new contents so far.
    """

    def __init__(
        self,
        trees: Sequence[OldTree],
        fetch: FetchNodes,
        max_size: int,
        *,
        target: int | None,
        repeats: bool,
    ) -> None:
        self._trees = [tree for tree in trees if tree.content.length]
        self._finders = {tree.number: tree.find for tree in trees}
        self._fetch = fetch
        self._zeros = zero_nodes(max_size)
        self._repeats = repeats
        self._top = max((tree.content.level for tree in self._trees), default=-1)
        self._target = next((tree for tree in self._trees if tree.number == target), None)
        self._old: dict[int, dict[bytes, _OldNode]] = {}
        self._there: dict[int, dict[int, Record]] = {}  # nodes of the target by level and offset
        self._matched: defaultdict[int, set[bytes]] = defaultdict(set)
        self._first: defaultdict[int, dict[Record, int]] = defaultdict(dict)
        self._holes: set[Record] = set()  # nodes of zeros; each is fetched once, as any other
        self.partners: set[int] = set()

    def match(self, contents: Iterable[tuple[int, Content]]) -> Iterator[_Item]:
        """Matches contents, each with its offset in the target, in order.

        Yields:
            Stretches, and the nodes of level 1 and chunks between them. Together they tile the
            contents.

        Raises:
            MalformedError: A root has a single record.
            CasyncError: What `fetch` raises.
        """
        together: list[_Item] = []
        for offset, content in contents:
            if content.length:
                record = Record(content.id, content.length)
                together.append(Unmatched(offset, content.level, record, is_root=True))
            if len(together) == _TOGETHER:
                yield from self._match(together)
                together = []
        yield from self._match(together)

    def rest(self, number: int) -> list[tuple[NodeId, int]]:
        """The nodes of level 1 of a seed that no new node has matched so far, with their offsets.

        Those of the target are all that do not stay. A seed that is a single chunk has none.
        """
        if self._target is not None and number == self._target.number:
            return [
                (NodeId(record.id), offset)
                for offset, record in self._places(1).items()
                if record.id not in self._zeros
            ]
        matched = self._matched[1]
        return [
            (NodeId(ident), old.offset)
            for ident, old in self._old_nodes(1).items()
            if old.number == number and ident not in matched
        ]

    def _match(self, items: list[_Item]) -> Iterator[_Item]:
        level = max((item.level for item in items if isinstance(item, Unmatched)), default=0)
        items = self._match_level(items, level) if level else items
        if level <= 1:
            yield from items
            return
        together: list[_Item] = []
        count = 0
        for item in items:
            together.append(item)
            count += isinstance(item, Unmatched)
            if count == _TOGETHER:
                yield from self._match(self._children(together, level))
                together, count = [], 0
        yield from self._match(self._children(together, level))

    def _match_level(self, items: list[_Item], level: int) -> list[_Item]:
        """Replaces nodes of one level that are zeros, or in a seed, or repeat."""
        old, matched, first = self._old_nodes(level), self._matched[level], self._first[level]
        there = self._places(level)
        found: list[_Item] = []
        for item in items:
            if isinstance(item, Stretch) or item.level != level:
                found.append(item)
                continue
            offset, record = item.offset, item.record
            partner = old.get(record.id)
            is_zero = self._zeros.get(record.id) == record.length
            if self._target is not None and there.get(offset) == record:
                del there[offset]
                if is_zero:
                    found.append(Stretch(offset, record.length, STILL_ZERO))
                    continue
                self.partners.add(self._target.number)
                found.append(Stretch(offset, record.length, self._target.number, offset))
            elif is_zero and record in self._holes:
                found.append(Stretch(offset, record.length, ZERO))
            elif partner is not None and partner.length == record.length:
                matched.add(record.id)
                self.partners.add(partner.number)
                found.append(Stretch(offset, record.length, partner.number, partner.offset))
            elif self._repeats and (source := first.setdefault(record, offset)) != offset:
                found.append(Stretch(offset, record.length, REPEAT, source))
            else:
                if record.id in self._zeros:
                    self._holes.add(record)
                found.append(item)
        return found

    def _children(self, items: list[_Item], level: int) -> list[_Item]:
        """Replaces nodes of one level by what they list."""
        wanted = [item for item in items if isinstance(item, Unmatched) and item.level == level]
        distinct = list(dict.fromkeys(item.record for item in wanted))
        nodes = dict(zip(distinct, self._fetch(level, distinct), strict=True))
        found: list[_Item] = []
        for item in items:
            if isinstance(item, Stretch) or item.level != level:
                found.append(item)
                continue
            node = nodes[item.record]
            if item.is_root:
                check_root(node)
            offset = item.offset
            for record in node.records:
                found.append(Unmatched(offset, level - 1, record))
                offset += record.length
        return found

    def _old_nodes(self, level: int) -> dict[bytes, _OldNode]:
        """Nodes of the seeds on one level, without those below a node that was matched."""
        if level > self._top:
            return {}
        if level not in self._old:
            self._old[level] = self._find_old(level)
        return self._old[level]

    def _find_old(self, level: int) -> dict[bytes, _OldNode]:
        found: dict[bytes, _OldNode] = {}
        for tree in self._trees:
            if tree.content.level == level:
                root = _OldNode(tree.number, 0, tree.content.length)
                found.setdefault(tree.content.id, root)
        for ident, old in self._old_nodes(level + 1).items() if level else ():
            if ident in self._matched[level + 1]:
                continue
            offset = old.offset
            for record in self._records(old, ident, level + 1):
                if record.id not in self._zeros:
                    found.setdefault(record.id, _OldNode(old.number, offset, record.length))
                offset += record.length
        return found

    def _places(self, level: int) -> dict[int, Record]:
        """The nodes of the target on one level, apart from those that stay and all below.

        Of a hole only the highest nodes.
        """
        if self._target is None or level > self._target.content.level:
            return {}
        if level not in self._there:
            content = self._target.content
            places: dict[int, Record] = {}
            if level == content.level:
                places[0] = Record(content.id, content.length)
            for offset, above in self._places(level + 1).items():
                if above.id in self._zeros:  # a hole may have any number of nodes
                    continue
                old = _OldNode(self._target.number, offset, above.length)
                for record in self._records(old, above.id, level + 1):
                    places[offset] = record
                    offset += record.length
            self._there[level] = places
        return self._there[level]

    def _records(self, old: _OldNode, ident: bytes, level: int) -> Sequence[Record]:
        """What an old node lists; nothing if it cannot be read, for seeds are optional."""
        try:
            return self._finders[old.number](NodeId(ident), level, old.length).records
        except CasyncError:
            return ()
