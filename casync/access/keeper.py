"""Stores the chunks that a pull fetches."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from casync.access.supply import Proved
from casync.ids import ChunkId, Kind
from casync.limits import MIB, OBJECT_BYTES
from casync.objects.codec import Packer, Verified
from casync.store.base import Absence, Batch, ObjectStore

__all__ = ["Keeper"]

_COMMIT_BYTES: Final = 16 * MIB
"""Bytes that are committed together. A commit takes several times as much memory."""


class Keeper:
    """Stores fetched chunks in batches. Used by several threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._local = threading.local()
        self._objects: list[Verified] = []
        self._mended: dict[ChunkId, Verified] = {}  # each is written once
        self._bytes = 0

    def keep(self, chunks: Sequence[Proved]) -> None:
        """Stores the chunks that the store lacks or has damaged; packs what came as plain bytes."""
        known = self._store.known(Kind.CHUNK, [chunk.id for chunk in chunks])
        there = [chunk for chunk, is_there in zip(chunks, known, strict=True) if is_there]
        new = [
            self._packed(chunk)
            for chunk, is_there in zip(chunks, known, strict=True)
            if not is_there
        ]
        stored = self._store.get(Kind.CHUNK, [chunk.id for chunk in there])
        mended = {
            chunk.id: self._packed(chunk)
            for chunk, answer in zip(there, stored, strict=True)
            if answer is Absence.DAMAGED
        }
        with self._lock:
            self._objects += new
            self._mended.update(mended)
            self._bytes += sum(
                len(packed.payload) + OBJECT_BYTES for packed in (*new, *mended.values())
            )
            if self._bytes >= _COMMIT_BYTES:
                self._flush()

    def _packed(self, chunk: Proved) -> Verified:
        """The payload that was received, or the plain bytes, packed."""
        if chunk.packed is not None:
            return Verified(*chunk.packed)
        return self._packer().pack(Kind.CHUNK, chunk.id, chunk.plain)

    def flush(self) -> None:
        """Commits the chunks that are not committed yet."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._objects or self._mended:
            self._store.commit(Batch(objects=self._objects, mended=list(self._mended.values())))
            self._objects, self._mended, self._bytes = [], {}, 0

    def _packer(self) -> Packer:
        if not hasattr(self._local, "packer"):
            self._local.packer = Packer()
        packer: Packer = self._local.packer
        return packer
