"""Everything below a manifest: nodes, folders and the contents of files, fetched in batches.

The one walk of what a manifest leads to. Each distinct node and folder is visited once, so neither
a hole nor a graph that repeats exponentially makes the walk longer than the objects that exist. The
caller fetches and proves objects. Malformed and missing objects are reported as faults, and the
walk continues with the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from casync.errors import CasyncError, MalformedError, NoObjectError, UnsupportedError
from casync.ids import Kind, NodeId
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.manifest import Manifest
from casync.objects.node import EMPTY, LONE_ROOT, Content, Node, Record, decode_node
from casync.objects.tree import Entry, File, Folder
from casync.objects.tree_walk import FetchObjects, PassOver, place_fault, read_folders, root_of

__all__ = ["Below", "Reached", "Seen", "Visit", "walk_nodes"]

_BATCH_BYTES: Final = 16 * MIB
"""Plain bytes of folders that are read together."""


class Visit(NamedTuple):
    """The level and length that a node was visited with, and whether it has a single record."""

    level: int
    length: int
    is_lone: bool = False


Seen: TypeAlias = dict[NodeId, Visit]
"""Nodes that were visited."""


class Reached(NamedTuple):
    """A step of a walk: a node, contents of one chunk each, a fault, or some work without either.

    Attributes:
        id: The node's id; None if the step is not about a node.
        node: The decoded node.
        chunks: Chunks that a node of level 1 lists, or that are whole contents. They may repeat.
        fault: Why a node cannot be followed, or a folder cannot be read to its end.
    """

    id: NodeId | None
    node: Node | None = None
    chunks: Sequence[Record] = ()
    fault: CasyncError | None = None

    def check(self) -> None:
        """Raises the fault, if there is one.

        Raises:
            NoObjectError: An object is missing.
            MalformedError: An object breaks the format.
            UnsupportedError: An object is newer than this program.
        """
        if self.fault is not None:
            label = f"node {self.id.hex()}: " if self.id is not None else ""
            raise type(self.fault)(label + self.fault.message)


class _Place(NamedTuple):
    """A folder's depth in folders, and its path."""

    content: Content
    depth: int
    path: bytes


class Below:
    """Walks below one manifest after the other. Used by one thread.

    Args:
        fetch: Fetches objects, at most `MAX_BATCH_IDS` in one call.
        strict: Whether to report what readers refuse: a root with a single record, a tree that is
            too deep, a path that is too long.
        nodes: Nodes that were visited before; grows by every node visited.
        pass_over: Selects folders below the first one that are not walked.
        meet: Called with the contents of each batch before their nodes are visited.

    Attributes:
        nodes: The visited nodes.
    """

    def __init__(
        self,
        fetch: FetchObjects,
        *,
        strict: bool = False,
        nodes: Seen | None = None,
        pass_over: PassOver | None = None,
        meet: Callable[[Sequence[Content]], object] = len,
    ) -> None:
        self.nodes: Seen = {} if nodes is None else nodes
        self._folders: dict[Content, None] = {}
        self._fetch = fetch
        self._strict = strict
        self._pass_over = pass_over
        self._meet = meet

    @property
    def size(self) -> tuple[int, int]:
        """Number of visited nodes and folders."""
        return len(self.nodes), len(self._folders)

    def forget(self, size: tuple[int, int]) -> None:
        """Forgets the nodes and folders visited since `size` had this value."""
        while len(self.nodes) > size[0]:
            self.nodes.popitem()
        while len(self._folders) > size[1]:
            self._folders.popitem()

    def walk(self, manifest: Manifest) -> Iterator[Reached]:
        """Visits the unvisited objects below a manifest, the nodes of a folder before its entries.

        Raises:
            CasyncError: What `fetch` raises.
        """
        return self._reached(self.contents(manifest))

    def walk_folder(self, folder: Content) -> Iterator[Reached]:
        """The same below a folder.

        Raises:
            CasyncError: What `fetch` raises.
        """
        return self._reached(self._contents_below(folder))

    def contents(self, manifest: Manifest) -> Iterator[Sequence[Content] | CasyncError]:
        """All contents below a manifest, in batches; those of folders once, before they are read.

        A batch may be empty: a piece of a folder was read.

        Raises:
            CasyncError: What `fetch` raises.
        """
        yield [manifest.content]
        if manifest.kind == "tree":
            try:
                root = root_of(manifest, self._fetch)
            except (NoObjectError, MalformedError, UnsupportedError) as error:
                yield error
            else:
                yield from self._contents_below(root.content)

    def _reached(self, batches: Iterable[Sequence[Content] | CasyncError]) -> Iterator[Reached]:
        for batch in batches:
            if isinstance(batch, CasyncError):
                yield Reached(None, fault=batch)
                continue
            if not batch:
                yield Reached(None)
                continue
            self._meet(batch)
            single = [Record(one.id, one.length) for one in batch if one.length and not one.level]
            if single:
                yield Reached(None, chunks=single)
            yield from walk_nodes(batch, self._fetch, self.nodes, strict=self._strict)

    def _contents_below(self, folder: Content) -> Iterator[Sequence[Content] | CasyncError]:
        todo = [_Place(folder, 1, b"")]
        files: list[Content] = []
        while batch := self._next_folders(todo):
            yield [place.content for place in batch]
            found = read_folders([place.content for place in batch], self._fetch, _BATCH_BYTES)
            for number, entry in found:
                if entry is None or isinstance(entry, CasyncError):
                    yield entry or []
                    continue
                inner = _inside(batch[number], entry)
                if self._strict and (fault := place_fault(inner.depth, len(inner.path))):
                    yield fault
                elif isinstance(entry, Folder):
                    if self._pass_over is None or not self._pass_over(inner.path, entry):
                        todo.append(inner)
                elif isinstance(entry, File) and entry.content.length:
                    files.append(entry.content)
                    if len(files) == MAX_BATCH_IDS:
                        yield files
                        files = []
        yield files

    def _next_folders(self, todo: list[_Place]) -> list[_Place]:
        """Takes the folders to read together, the last ones first, so that few are waiting."""
        batch: list[_Place] = []
        size = 0
        while todo and len(batch) < MAX_BATCH_IDS and size < _BATCH_BYTES:
            place = todo.pop()
            if place.content.length and place.content not in self._folders:
                self._folders[place.content] = None
                batch.append(place)
                size += place.content.length
        return batch


def _inside(place: _Place, entry: Entry) -> _Place:
    path = place.path + b"/" + entry.name if place.path else entry.name
    if isinstance(entry, Folder):
        return _Place(entry.content, place.depth + 1, path)
    return _Place(EMPTY, place.depth, path)


def walk_nodes(
    contents: Sequence[Content], fetch: FetchObjects, seen: Seen, *, strict: bool
) -> Iterator[Reached]:
    """Visits the nodes below contents that are not in `seen`, upper levels first.

    Args:
        contents: Where to begin. A content of level 0 has no nodes.
        fetch: Fetches nodes, at most `MAX_BATCH_IDS` in one call.
        seen: Grows by every node visited. Walks that share it visit each node once in total.
        strict: Whether a root with a single record is a fault.

    Raises:
        CasyncError: What `fetch` raises.
    """
    below: dict[NodeId, int] = {}
    for level in range(max((content.level for content in contents), default=0), 0, -1):
        wanted, below = below, {}
        roots = [content for content in contents if content.level == level]
        for content in roots:
            yield from _want(wanted, content)
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
            for ident, data in zip(part, fetch(Kind.NODE, part), strict=True):
                reached = _decoded(ident, data, level, wanted[ident])
                if reached.node is not None and len(reached.node.records) == 1:
                    seen[ident] = Visit(level, wanted[ident], is_lone=True)
                yield reached
                if level > 1 and reached.node is not None:
                    for record in reached.node.records:
                        yield from _want(below, record)
        if strict:
            lone = [NodeId(root.id) for root in roots if seen[NodeId(root.id)].is_lone]
            yield from (Reached(ident, fault=MalformedError(LONE_ROOT)) for ident in lone)


def _want(wanted: dict[NodeId, int], what: Content | Record) -> Iterator[Reached]:
    ident = NodeId(what.id)
    if wanted.setdefault(ident, what.length) != what.length:
        yield _contradicted(ident)


def _decoded(ident: NodeId, data: bytes | None, level: int, length: int) -> Reached:
    if data is None:
        return Reached(ident, fault=NoObjectError("it is not available"))
    try:
        node = decode_node(data, level, length)
    except (MalformedError, UnsupportedError) as error:
        return Reached(ident, fault=error)
    return Reached(ident, node, node.records if level == 1 else ())


def _contradicted(ident: NodeId) -> Reached:
    fault = MalformedError("node that is listed with two levels or two lengths")
    return Reached(ident, fault=fault)
