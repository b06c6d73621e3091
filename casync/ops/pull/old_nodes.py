"""Fetches nodes as deltas against nodes of old versions.

The nodes of a slightly changed manifest changed only slightly, too, but have new ids. Good bases
are old nodes of the same level around the same offset, which the new version no longer has.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

from casync.access.outline import Outline
from casync.errors import CasyncError, IntegrityError
from casync.ids import Kind, NodeId, ObjectId
from casync.limits import KIB, MAX_GROUP_BYTES
from casync.objects.codec import Packed, Packer, Unpacker
from casync.objects.delta import Delta, Group, unpack_group
from casync.objects.manifest import decode_manifest
from casync.objects.node import decode_node
from casync.ops.pull.seeds import known_outline
from casync.ops.pull.server_supply import DeltaChoice, asks_deltas
from casync.store.base import Absence, ObjectSource, ObjectStat, ObjectStore
from casync.store.proved import ProvedReader
from casync.store.server import Server

__all__ = ["NodesByDelta", "OldNodes", "likely_versions"]

_GROUP_NODES: Final = 128
"""Wanted nodes of a group. More of them compress better, and leave less room for bases."""

_GUESSED_BYTES: Final = 12 * KIB
"""Assumed plain bytes of a wanted node, so that a group rarely exceeds its limit."""

_MAX_OLD: Final = 1 << 16
"""Old nodes per level to keep track of: enough for 130 GiB at the default chunk size."""

_MAX_NEW: Final = 1 << 18
"""New nodes with known offsets, some 60 MiB. Further ones are requested without bases."""

_MAX_FILES: Final = 64
"""Remembered files to consider, the newest first."""

_CACHED_NODES: Final = 512
"""Plain nodes to cache: the bases of one group, some 4 MiB."""


def likely_versions(
    target: Path | None, named: Sequence[Path], store: ObjectStore
) -> list[Outline]:
    """Outlines of old versions: of the target, else of a named seed, else of any remembered file.

    The files may have changed since: only their nodes are used, which are in `store`.
    """
    paths = [path for path in (target, *named) if path is not None]
    found = [store.recall(bytes(path)) for path in paths]
    rows = [row for row in found if row is not None][:1] or islice(store.remembered(), _MAX_FILES)
    known = [known_outline(store, row.manifest) for row in rows]
    return [outline for outline in known if outline is not None]


class _Span(NamedTuple):
    """The first place of a node in its content."""

    level: int
    offset: int
    length: int


class OldNodes:
    """The nodes of an old version, by level and offset.

    Args:
        outline: The old version.
        store: Has its nodes.
    """

    def __init__(self, outline: Outline, store: ObjectSource) -> None:
        self._outline = outline
        self._objects = ProvedReader(store)
        self._levels: dict[int, list[tuple[int, NodeId, int]]] = {}
        self._gone: dict[int, list[tuple[int, NodeId, int]]] = {}
        self._plain = lru_cache(maxsize=_CACHED_NODES)(self._read)

    def around(
        self, level: int, start: int, end: int, without: Collection[ObjectId], room: int
    ) -> Iterator[tuple[NodeId, bytes]]:
        """Nodes of `level` around a range of the content, the nearest first.

        Args:
            level: Level of the nodes.
            start: Offset of the first byte of the range.
            end: Offset after the last byte.
            without: The new version's nodes, complete for this level.
            room: Maximum plain bytes of all nodes together.
        """
        if level not in self._gone:
            self._gone[level] = [item for item in self._level(level) if item[1] not in without]
        there = self._gone[level]
        after = bisect_left(there, (start,))
        middle = (start + end) // 2
        before = after - 1
        while before >= 0 or after < len(there):
            goes_back = after >= len(there) or (
                before >= 0 and middle - there[before][0] < there[after][0] - middle
            )
            ident = there[before if goes_back else after][1]
            before, after = (before - 1, after) if goes_back else (before, after + 1)
            plain = self._plain(ident)
            room -= len(plain)
            if room < 0:
                return
            if plain:
                yield ident, plain

    def _level(self, level: int) -> list[tuple[int, NodeId, int]]:
        """All distinct nodes of a level as (offset, id, length), in order."""
        if level not in self._levels:
            content = self._outline.content
            if level >= content.level:
                root = [(0, NodeId(content.id), content.length)] if level == content.level else []
                self._levels[level] = root
            else:
                self._levels[level] = self._below(level)
        return self._levels[level]

    def _below(self, level: int) -> list[tuple[int, NodeId, int]]:
        found: dict[NodeId, tuple[int, NodeId, int]] = {}
        try:
            for offset, parent, length in self._level(level + 1):
                for record in self._outline.node(parent, level + 1, length).records:
                    ident = NodeId(record.id)
                    found.setdefault(ident, (offset, ident, record.length))
                    offset += record.length
                if len(found) > _MAX_OLD:
                    break
        except CasyncError:
            pass  # bases are optional: those that can be read are enough
        return sorted(found.values())

    def _read(self, ident: NodeId) -> bytes:
        """The bytes of a node; empty if it cannot be read."""
        (data,) = self._objects.found(Kind.NODE, [ident])
        return data or b""


class NodesByDelta:
    """An `ObjectSource` that fetches nodes from a server as deltas. Used by one thread.

    It learns the offsets of nodes from the manifest and the nodes that it fetched before.

    Args:
        server: The server.
        old: Returns old versions, the likeliest first; called for the manifest of a file.
        store: Has the nodes of old versions.
        delta: Whether to request deltas.
    """

    def __init__(
        self,
        server: Server,
        old: Callable[[], Sequence[Outline]],
        store: ObjectSource,
        delta: DeltaChoice,
    ) -> None:
        self._server = server
        self._find_old = old
        self._store = store
        self._delta = delta
        self._old: OldNodes | None = None
        self._spans: dict[ObjectId, _Span] = {}
        self._lied = False
        self._unpacker = Unpacker()
        self._packer = Packer()

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """The server's objects; see `ObjectSource.get`."""
        grouped = kind is Kind.NODE and bool(self._spans) and not self._lied
        if grouped and asks_deltas(self._delta, self._server):
            answers = self._by_delta(ids)
        else:
            answers = self._server.get(kind, ids)
        for ident, answer in zip(ids, answers, strict=True):
            if isinstance(answer, Packed):
                self._learn(kind, ident, answer)
            yield answer

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """The server's sizes; see `ObjectSource.stat`."""
        return self._server.stat(kind, ids)

    def _by_delta(self, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        parts = [ids[at : at + _GROUP_NODES] for at in range(0, len(ids), _GROUP_NODES)]
        bases = [list(self._bases(part)) for part in parts]
        groups = [
            Group(part, [ident for ident, _ in its]) for part, its in zip(parts, bases, strict=True)
        ]
        plains = iter([plain for _, plain in its] for its in bases)
        answers = chain.from_iterable(self._server.get_groups(Kind.NODE, groups))
        for part in parts:
            dictionary = next(plains)
            left = len(part)
            while left:
                answer = next(answers)
                if isinstance(answer, Delta):
                    yield from self._undone(answer, dictionary)
                    left -= len(answer.ids)
                else:
                    yield answer
                    left -= 1

    def _bases(self, part: Sequence[ObjectId]) -> Iterable[tuple[NodeId, bytes]]:
        spans = [self._spans[ident] for ident in part if ident in self._spans]
        if self._old is None or not spans:
            return ()
        start, end = spans[0].offset, spans[-1].offset + spans[-1].length
        room = MAX_GROUP_BYTES - len(part) * _GUESSED_BYTES
        return self._old.around(spans[0].level, start, end, self._spans, room)

    def _undone(self, delta: Delta, bases: Sequence[bytes]) -> Iterator[Packed | Absence]:
        """The nodes of a delta. Requests nodes whole that the delta does not decode to."""
        try:
            found = dict(unpack_group(delta, bases))
        except IntegrityError:
            found = {}
        lost = [ident for ident in delta.ids if ident not in found]
        self._lied = self._lied or bool(lost)
        again = iter(self._server.get(Kind.NODE, lost) if lost else ())
        for ident in delta.ids:
            if ident in found:
                yield self._packer.pack(Kind.NODE, ident, found[ident])
            else:
                yield next(again)

    def _learn(self, kind: Kind, ident: ObjectId, packed: Packed) -> None:
        """Notes the offsets of the nodes below. Ignores damage, which the caller detects."""
        span = self._spans.get(ident)
        try:
            if kind is Kind.MANIFEST:
                self._begin(packed)
            elif span is not None and span.level > 1 and len(self._spans) < _MAX_NEW:
                plain = self._unpacker.unpack(packed)
                offset = span.offset
                for record in decode_node(plain, span.level, span.length).records:
                    below = _Span(span.level - 1, offset, record.length)
                    self._spans.setdefault(NodeId(record.id), below)
                    offset += record.length
        except CasyncError:
            return

    def _begin(self, packed: Packed) -> None:
        """Chooses the old version: with the same chunk sizes, and the nearest in length."""
        manifest = decode_manifest(self._unpacker.unpack(packed))
        if manifest.kind != "file":
            return
        content = manifest.content
        self._spans = {NodeId(content.id): _Span(content.level, 0, content.length)}
        alike = [old for old in self._find_old() if old.params == manifest.params]
        if alike:
            nearest = min(alike, key=lambda old: abs(old.content.length - content.length))
            self._old = OldNodes(nearest, self._store)
