"""Marking what manifests lead to. Whatever cannot be read stops it: nobody knows what is below.

Each distinct node and folder is read once. Chunks are not read, except those that hold folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from casync.errors import DamagedStoreError, IntegrityError, NoObjectError
from casync.ids import Kind, ManifestId, NodeId, ObjectId
from casync.objects.codec import Packed, Unpacker
from casync.objects.manifest import decode_manifest
from casync.objects.node import Content
from casync.objects.node_walk import Marks, Seen, walk_nodes
from casync.objects.tree_walk import contents
from casync.store.base import ObjectSource

__all__ = ["Marker"]

_NEXT = "`casync verify` finds all of it, `casync store reindex` lets go of it."


class Marker:
    """Marks below one manifest after the other. Used by one thread.

    Args:
        store: Where they are.
    """

    def __init__(self, store: ObjectSource) -> None:
        self._store = store
        self._unpacker = Unpacker()
        self._manifests: set[bytes] = set()
        self._nodes: Seen = {}
        self._folders: set[Content] = set()
        self._chunks = Marks()

    def is_marked(self, kind: Kind, ident: ObjectId) -> bool:
        """Whether a manifest that was marked leads to an object, or is it."""
        if kind is Kind.CHUNK:
            return ident in self._chunks
        return ident in (self._nodes if kind is Kind.NODE else self._manifests)

    def mark(self, ident: ManifestId) -> None:
        """Marks a manifest and everything below it.

        Raises:
            DamagedStoreError: Something cannot be read, or contradicts itself.
            UnsupportedError: It is newer than this program.
        """
        self._manifests.add(ident)
        try:
            (data,) = self._plain(Kind.MANIFEST, [ident])
            for content in contents(decode_manifest(data), self._plain, self._folders):
                self._mark_content(content)
        except (IntegrityError, NoObjectError) as error:
            raise DamagedStoreError(
                f"what manifest {ident.hex()} needs cannot be told: {error.message}",
                next_step=_NEXT,
            ) from error

    def _mark_content(self, content: Content) -> None:
        if not content.level:
            if content.length:
                self._chunks.add(content.id)
            return
        for reached in walk_nodes(content, self._fetch, self._nodes):
            if reached.node is None:
                raise DamagedStoreError(f"node {reached.id.hex()}: {reached.fault}")
            if reached.node.level == 1:
                for record in reached.node.records:
                    self._chunks.add(record.id)

    def _fetch(self, ids: Sequence[NodeId]) -> Iterable[bytes]:
        return self._plain(Kind.NODE, ids)

    def _plain(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[bytes]:
        for ident, answer in zip(ids, self._store.get(kind, ids), strict=True):
            if not isinstance(answer, Packed):
                raise DamagedStoreError(f"{kind.name.lower()} {ident.hex()} is {answer.value}")
            yield self._unpacker.unpack(answer)
