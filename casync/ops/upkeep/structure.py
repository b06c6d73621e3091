"""Verifies the structure of a store: that all objects below its manifests are there.

Manifests and nodes are read and proved, chunks are only looked up. Faults are collected by object;
the manifests that need a faulty object are found afterwards, if there is any fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from casync.errors import CasyncError, IntegrityError, NoObjectError, UnsupportedError
from casync.ids import ChunkId, Kind, ManifestId, NodeId, ObjectId
from casync.objects.below import Below, Seen
from casync.objects.manifest import Manifest, decode_manifest
from casync.objects.node import Content, decode_node
from casync.sizes import format_count
from casync.store.base import Absence, ObjectStore
from casync.store.proved import Lost, ProvedReader

__all__ = ["NodeFault", "ObjectKey", "FaultKind", "Structure", "fault_of"]

_LOOK_UP: Final = 4096
"""Chunks that are looked up together."""


class FaultKind(Enum):
    """The kind of a fault."""

    MISSING = "missing"
    DAMAGED = "damaged"  # its bytes are not those that were stored
    MALFORMED = "malformed"  # its bytes are those of its id, but break the format


ObjectKey: TypeAlias = tuple[Kind, ObjectId]


class NodeFault(NamedTuple):
    """A fault, and how it was noticed."""

    problem: FaultKind
    detail: str


def fault_of(lost: Lost) -> NodeFault:
    """The fault of an object that cannot be read."""
    if lost.absence is Absence.MISSING:
        return NodeFault(FaultKind.MISSING, "")
    return NodeFault(FaultKind.DAMAGED, lost.detail or "its record is damaged")


class Structure:
    """Walks manifests of one store. Used by one thread.

    Attributes:
        wrong: The faults found so far.
        seen: The visited nodes.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.wrong: dict[ObjectKey, NodeFault] = {}
        self.seen: Seen = {}
        self._store = store
        self._objects = ProvedReader(store)

    def note(self, key: ObjectKey, found: NodeFault) -> None:
        """Records a fault of an object; its first fault stays."""
        self.wrong.setdefault(key, found)

    def walk(self, ident: ManifestId, length: int) -> Iterator[list[ChunkId]]:
        """Verifies everything below a manifest, apart from nodes that were visited before.

        Args:
            ident: The manifest.
            length: Plain bytes of its content according to its row.

        Yields:
            Chunks that are there, in groups. A chunk may come more than once.
        """
        manifest = self._manifest(ident)
        if manifest is None:
            return
        if manifest.length != length:
            detail = (
                f"its row says {format_count(length, 'byte')}, the manifest says {manifest.length}"
            )
            self.note((Kind.MANIFEST, ident), NodeFault(FaultKind.MALFORMED, detail))
        wanted: list[tuple[ChunkId, int, ObjectKey]] = []
        for reached in Below(self._plain, strict=True, nodes=self.seen).walk(manifest):
            key = (Kind.MANIFEST, ident) if reached.id is None else (Kind.NODE, reached.id)
            if reached.fault is not None and not isinstance(reached.fault, NoObjectError):
                self.note(key, NodeFault(FaultKind.MALFORMED, reached.fault.message))
            wanted += [(ChunkId(chunk), size, key) for chunk, size in set(reached.chunks)]
            if len(wanted) >= _LOOK_UP:
                yield self._look_up(wanted)
                wanted = []
        if wanted:
            yield self._look_up(wanted)

    def needs(self, ident: ManifestId, memo: dict[Content, frozenset[ObjectKey]]) -> set[ObjectKey]:
        """The faulty objects that a manifest needs. Calls for one store share `memo`."""
        key: ObjectKey = (Kind.MANIFEST, ident)
        needed = {key} if key in self.wrong else set()
        manifest = self._manifest(ident)
        if manifest is not None:
            for batch in Below(self._plain).contents(manifest):
                if not isinstance(batch, CasyncError):
                    for content in batch:
                        needed |= self._below(content, memo)
        return needed

    def _below(
        self, content: Content, memo: dict[Content, frozenset[ObjectKey]]
    ) -> frozenset[ObjectKey]:
        key: ObjectKey = (Kind.NODE if content.level else Kind.CHUNK, NodeId(content.id))
        own = frozenset((key,)) if key in self.wrong else frozenset()
        if not content.level:
            return own
        if content in memo:
            return memo[content]
        needed = set(own)
        for data in self._plain(Kind.NODE, [NodeId(content.id)]):
            try:
                node = decode_node(data or b"", content.level, content.length)
            except (IntegrityError, UnsupportedError):
                break
            for ident, length in set(node.records):
                needed |= self._below(Content(content.level - 1, ident, length), memo)
        memo[content] = frozenset(needed) if needed else frozenset()
        return memo[content]

    def _manifest(self, ident: ManifestId) -> Manifest | None:
        for data in self._plain(Kind.MANIFEST, [ident]):
            if data is None:
                continue
            try:
                return decode_manifest(data)
            except (IntegrityError, UnsupportedError) as error:
                self.note((Kind.MANIFEST, ident), NodeFault(FaultKind.MALFORMED, error.message))
        return None

    def _plain(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes | None]:
        for found in self._objects.look(kind, ids):
            if isinstance(found, Lost):
                self.note((kind, found.id), fault_of(found))
                yield None
            else:
                yield found

    def _look_up(self, wanted: Sequence[tuple[ChunkId, int, ObjectKey]]) -> list[ChunkId]:
        there: list[ChunkId] = []
        stats = self._store.stat(Kind.CHUNK, [ident for ident, _, _ in wanted])
        for (ident, length, owner), stat in zip(wanted, stats, strict=True):
            if stat is None:
                self.note((Kind.CHUNK, ident), NodeFault(FaultKind.MISSING, ""))
                continue
            there.append(ident)
            if stat.length != length:
                listed = format_count(length, "byte")
                detail = f"it lists chunk {ident.hex()} with {listed}; it has {stat.length}"
                self.note(owner, NodeFault(FaultKind.MALFORMED, detail))
        return there
