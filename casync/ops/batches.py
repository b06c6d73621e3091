"""Objects on their way into a store: gathered into commits, which another thread writes.

One commit is written while the next one is gathered, and no more than that, so memory is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from casync.codec import Verified
from casync.limits import COMMIT_BYTES
from casync.store.base import Batch, Committed, ObjectStore

__all__ = ["BatchWriter"]

_OBJECT_BYTES: Final = 512
"""Bytes of memory that an object takes besides its payload. Small chunks would be many."""


class BatchWriter:
    """Takes new objects in order. Used by one thread; close it whatever happens.

    Attributes:
        objects: Objects taken so far, each counted once.
        stored: Bytes that they add to the store.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._running: Future[Committed] | None = None
        self._batch = Batch()
        self._bytes = 0
        self._written = 0
        # Ids of the commits that a look-up may not have seen, each with the commit's number.
        self._recent: deque[tuple[int, set[bytes]]] = deque([(1, set())])
        self.objects = 0
        self.stored = 0

    @property
    def written(self) -> int:
        """Commits that are in the store. Ask before a look-up, and give the answer to `put`."""
        return self._written

    def put(self, objects: Sequence[Verified], written: int) -> int:
        """Takes objects that a look-up did not find in the store; says how many are new.

        Args:
            objects: Those not found.
            written: What `written` was before that look-up. Never less than in the call before.

        Raises:
            NoSpaceError, WriteError: An earlier commit failed.
        """
        recent = self._recent
        while recent[0][0] <= written:
            recent.popleft()
        new = 0
        for packed in objects:
            if any(packed.id in ids for _, ids in recent):
                continue
            recent[-1][1].add(packed.id)
            self._batch.objects.append(packed)
            self._bytes += len(packed.payload) + _OBJECT_BYTES
            new += 1
            if self._bytes >= COMMIT_BYTES:
                self._start()
        self.objects += new
        return new

    def finish(self, last: Batch) -> Committed:
        """Writes what is left, and `last` in the same commit. Durable when it returns.

        Raises:
            NoSpaceError, WriteError, NoObjectError: As `ObjectStore.commit`.
        """
        self._batch.objects += last.objects
        self._batch.manifests += last.manifests
        self._batch.names += last.names
        self._batch.remember += last.remember
        self._batch.forget += last.forget
        self._start()
        return self._wait()

    def close(self) -> None:
        """Ends the thread. What was not written yet is dropped; a running commit ends first."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> None:
        if self._running is not None:
            self._wait()
        self._running = self._executor.submit(self._commit, self._batch)
        self._batch, self._bytes = Batch(), 0
        self._recent.append((self._recent[-1][0] + 1, set()))

    def _commit(self, batch: Batch) -> Committed:
        committed = self._store.commit(batch)
        self._written += 1
        return committed

    def _wait(self) -> Committed:
        assert self._running is not None
        running, self._running = self._running, None
        committed = running.result()
        self.stored += committed.stored
        return committed
