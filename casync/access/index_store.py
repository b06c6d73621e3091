"""Puts a member index into a store: content without a manifest, to which a row leads."""

from __future__ import annotations

from collections.abc import Iterable

from casync.ids import Kind, NodeId, chunk_id
from casync.limits import COMMIT_BYTES, OBJECT_BYTES
from casync.objects.chunker import DEFAULT_PARAMS, Cutter, Pieces
from casync.objects.codec import Packer
from casync.objects.node import Content, NodeBuilder
from casync.store.base import Batch
from casync.store.member_indexes import IndexedStore

__all__ = ["store_index"]


def store_index(
    blocks: Iterable[bytes], archive: bytes, store: IndexedStore, *, again: bool
) -> Content:
    """Cuts an index into chunks, and commits it.

    Args:
        blocks: Its bytes in order.
        archive: The id of its archive's content.
        store: The store.
        again: An earlier index cannot be read: objects that the store has may be damaged.

    Raises:
        NoSpaceError, WriteError: As `ObjectStore.commit`.
    """
    writer = _Writer(store, again=again)
    cutter = Cutter(DEFAULT_PARAMS)
    for block in blocks:
        writer.take(cutter.feed(block))
    writer.take(cutter.finish())
    return writer.finish(archive)


class _Writer:
    def __init__(self, store: IndexedStore, *, again: bool) -> None:
        self._store = store
        self._again = again
        self._packer = Packer()
        self._nodes = NodeBuilder(self._take_node)
        self._batch = Batch(unprotected=True)
        self._bytes = 0

    def take(self, pieces: Pieces) -> None:
        """Takes the next chunks."""
        view, start = memoryview(pieces.buffer), 0
        for length in pieces.lengths:
            plain = view[start : start + length]
            start += length
            ident = chunk_id(plain)
            self._nodes.extend([(ident, length)])
            self._put(Kind.CHUNK, ident, bytes(plain))
        if self._bytes >= COMMIT_BYTES:
            self._commit()

    def finish(self, archive: bytes) -> Content:
        """Commits the rest with the row."""
        content = self._nodes.finish()
        self._batch.member_indexes.append((archive, content))
        self._commit()
        return content

    def _take_node(self, ident: NodeId, data: bytes) -> None:
        self._put(Kind.NODE, ident, data)

    def _put(self, kind: Kind, ident: bytes, plain: bytes) -> None:
        packed = self._packer.pack(kind, NodeId(ident), plain)
        (self._batch.mended if self._again else self._batch.objects).append(packed)
        self._bytes += len(packed.payload) + OBJECT_BYTES

    def _commit(self) -> None:
        self._store.commit(self._batch)
        self._batch, self._bytes = Batch(unprotected=True), 0
