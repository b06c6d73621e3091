"""Packs chunks into segments, and puts these into a storage while the next ones are packed."""

from __future__ import annotations

import secrets
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Final, Self

from casync.bucket.keys import SESSION_BYTES, SessionPart, segment_key
from casync.bucket.segment_head import SEGMENT_HEAD_BYTES, SegmentHead, encode_segment_head
from casync.bucket.storage import ObjectStorage
from casync.ids import Buffer
from casync.limits import BUCKET_SEGMENT_BYTES
from casync.objects.codec import Packed
from casync.objects.record import encode_record
from casync.ops.publish.place_table import SegmentPlace

__all__ = ["SegmentWriter"]

_AT_ONCE: Final = 4
"""Segments that are put at once; as many are in memory, and one that is being packed."""


class SegmentWriter:
    """Writes the segments of one session. Used by one thread; a context manager.

    Args:
        storage: Where they go.
        store: The UUID of the site.

    Attributes:
        sizes: The bytes of each segment that was begun and is complete.
    """

    def __init__(self, storage: ObjectStorage, store: bytes) -> None:
        self.sizes: dict[SessionPart, int] = {}
        self._storage = storage
        self._store = store
        self._session = secrets.token_bytes(SESSION_BYTES)
        self._number = 0
        self._records: list[Buffer] = []
        self._size = SEGMENT_HEAD_BYTES
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="publish")
        self._puts: set[Future[None]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=error is not None)

    def add(self, chunk: Packed) -> SegmentPlace:
        """Packs a chunk; where it will lie.

        Raises:
            CasyncError: An earlier segment could not be put.
        """
        head = encode_record(chunk.kind, chunk.codec, chunk.length, chunk.id, chunk.payload)
        size = len(head) + len(chunk.payload)
        if self._records and self._size + size > BUCKET_SEGMENT_BYTES:
            self._put()
        place = SegmentPlace(self._part, self._size, len(chunk.payload))
        self._records += [head, chunk.payload]
        self._size += size
        return place

    def finish(self) -> None:
        """Puts what is packed. All segments are there on return.

        Raises:
            CasyncError: A segment could not be put.
        """
        if self._records:
            self._put()
        for put in self._puts:
            put.result()
        self._puts.clear()

    @property
    def _part(self) -> SessionPart:
        return SessionPart(self._session, self._number)

    def _put(self) -> None:
        part, size = self._part, self._size
        head = encode_segment_head(SegmentHead(part, self._store, size, of_nodes=False))
        data = b"".join([head, *self._records])
        self.sizes[part] = size
        self._number += 1
        self._records, self._size = [], SEGMENT_HEAD_BYTES
        if len(self._puts) == _AT_ONCE:
            done, self._puts = wait(self._puts, return_when=FIRST_COMPLETED)
            for put in done:
                put.result()
        self._puts.add(self._pool.submit(self._storage.put, segment_key(part), data))
