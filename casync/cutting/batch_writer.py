"""Gathers new objects into commits, which other threads write.

One commit, or as many as the store takes at once, is written while the next one is gathered, so
memory is bounded by a few commits.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate, compress

from casync.ids import Kind, ObjectId
from casync.limits import COMMIT_BYTES, OBJECT_BYTES
from casync.objects.codec import Verified
from casync.objects.record import RECORD_BYTES, ChunkRecords
from casync.store.base import Batch, Committed, ObjectStore
from casync.store.proved import ProvedReader

__all__ = ["BatchWriter"]


class BatchWriter:
    """Takes new objects in order. Used by one thread; always close it.

    Args:
        store: The store.
        mends: Prove what the store has already, and store again what is damaged. A store that
            takes several commits at once lies behind a network, and is not fetched for that.

    Attributes:
        stored: Bytes added to the store.
        new_length: Plain bytes of the chunks taken.
    """

    def __init__(self, store: ObjectStore, *, mends: bool = False) -> None:
        self._store = store
        self._proved = ProvedReader(store) if mends and store.commits_at_once == 1 else None
        self._damaged: set[ObjectId] = set()  # reserved ones
        self._most = store.commits_at_once
        self._executor = ThreadPoolExecutor(self._most, thread_name_prefix="commit")
        self._running: deque[Future[Committed]] = deque()
        self._ordered: list[Future[Committed]] = []  # the last one with more than objects
        self._batch = Batch()
        self._bytes = 0
        self._written: set[int] = set()  # commits that are in the store
        # Reserved ids: those not in a commit yet, and those in commits, with the commit's number.
        self._claimed: set[ObjectId] = set()
        self._begun = 0
        self._recent: deque[tuple[int, set[ObjectId]]] = deque()
        self.stored = 0
        self.new_length = 0

    def expect(self) -> None:
        """Lets the store get ready for commits, beside what the caller does until the first one."""
        self._executor.submit(self._store.expect_commits)  # the first commit fails as this does

    def reserve(self, kind: Kind, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Reserves the objects that are neither in the store nor on their way to it.

        The caller must put every reserved object.

        Raises:
            CasyncError: What the store raises.
        """
        new = self.absent(ids)
        asked = list(new)
        known = [*compress(asked, self._store.known(kind, asked))]
        new.difference_update(known)
        damaged = self._damaged_of(kind, known)
        self._damaged |= damaged
        new |= damaged
        self._claimed |= new
        return new

    def _damaged_of(self, kind: Kind, known: Sequence[ObjectId]) -> set[ObjectId]:
        """The objects that are damaged, of those that the store has."""
        if self._proved is None or not known:
            return set()
        found = self._proved.found(kind, known)
        return {ident for ident, data in zip(known, found, strict=True) if data is None}

    def absent(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """The objects that are not on their way to the store. It may have them by now."""
        recent = self._recent
        # A look-up that follows sees what was committed before it begins.
        while recent and recent[0][0] in self._written:
            self._written.discard(recent.popleft()[0])
        new = set(ids) - self._claimed
        for _, on_their_way in recent:
            new -= on_their_way
        return new

    def put(self, objects: Sequence[Verified]) -> None:
        """Takes reserved objects.

        Raises:
            NoSpaceError, WriteError: An earlier commit failed.
        """
        for packed in objects:
            self._take(packed)
            if self.is_full:
                self.start()

    def put_absent(self, objects: Sequence[Verified]) -> None:
        """Takes the objects that are not on their way yet, reserved or not; never starts a commit.

        Threads that share a writer behind a lock put so: what one of them put, the others may rely
        on, and none waits for objects that another one may fail to put.
        """
        new = self.absent(packed.id for packed in objects)
        self._claimed |= new
        for packed in objects:
            if packed.id in new:
                new.discard(packed.id)
                self._take(packed)

    def put_absent_records(self, records: ChunkRecords) -> None:
        """Takes records of chunks as `put_absent` takes objects."""
        new = self.absent(records.ids)
        if len(new) < len(records.ids):
            records = records.only(new)
        self._claimed |= new
        self.new_length += sum(records.lengths)
        self._batch.records.append(records)
        self._bytes += len(records.data) + len(records.ids) * (OBJECT_BYTES - RECORD_BYTES)

    @property
    def is_full(self) -> bool:
        """Whether what is gathered fills a commit."""
        return self._bytes >= COMMIT_BYTES

    def put_records(self, records: ChunkRecords) -> None:
        """Takes records of reserved chunks. Raises as `put`."""
        if damaged := self._damaged.intersection(records.ids):
            self.put([*records.only(damaged).objects()])
            records = records.only(set(records.ids) - damaged)
        self.new_length += sum(records.lengths)
        ends = list(accumulate([OBJECT_BYTES - RECORD_BYTES + size for size in records.sizes]))
        start = done = 0
        while start < len(ends):
            full = bisect_left(ends, done + COMMIT_BYTES - self._bytes, start)
            stop = min(full + 1, len(ends))
            self._batch.records.append(records.part(start, stop))
            self._bytes += ends[stop - 1] - done
            start, done = stop, ends[stop - 1]
            if self.is_full:
                self.start()

    def finish(self, last: Batch) -> Committed:
        """Writes the rest, and `last` in the same commit. Durable on return.

        Raises:
            NoSpaceError, WriteError, NoObjectError: As `ObjectStore.commit`.
        """
        self.add(last)
        self.start()
        return self.wait()

    def add(self, last: Batch) -> None:
        """Adds rows and objects to the next commit, whatever its size."""
        damaged = self._damaged_of(
            Kind.MANIFEST, [one.id for one in last.objects if one.kind is Kind.MANIFEST]
        )
        self._batch.mended += [one for one in last.objects if one.id in damaged]
        self._batch.objects += [one for one in last.objects if one.id not in damaged]
        self._batch.records += last.records
        self._batch.manifests += last.manifests
        self._batch.names += last.names
        self._batch.remember += last.remember
        self._batch.forget += last.forget
        self._batch.relies += last.relies
        self._batch.outlines += last.outlines
        self._batch.origins += last.origins
        self._batch.member_indexes += last.member_indexes
        self._batch.job = last.job or self._batch.job

    def start(self) -> None:
        """Starts the commit of what is gathered: after all others, unless all have objects alone.

        Waits while too many are running. Objects are sent to the store beside earlier commits.

        Raises:
            CasyncError: One of them failed. As `ObjectStore.commit`.
        """
        while len(self._running) >= self._most:
            self._wait_for_first()
        is_ordered = not self._batch.is_objects
        earlier = list(self._running) if is_ordered else self._ordered
        self._begun += 1
        commit = self._executor.submit(self._commit, self._batch, self._begun, earlier)
        self._running.append(commit)
        self._ordered = [commit] if is_ordered else self._ordered
        ids = {packed.id for packed in (*self._batch.objects, *self._batch.mended)}
        for records in self._batch.records:
            ids.update(records.ids)
        self._claimed -= ids
        self._recent.append((self._begun, ids))
        self._batch, self._bytes = Batch(), 0

    def wait(self) -> Committed:
        """Waits for all running commits; returns the last one. Raises as `ObjectStore.commit`."""
        while len(self._running) > 1:
            self._wait_for_first()
        return self._wait_for_first()

    def _wait_for_first(self) -> Committed:
        committed = self._running.popleft().result()
        self.stored += committed.stored
        return committed

    def close(self) -> None:
        """Ends the threads. Unwritten objects are dropped; running commits end first."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _take(self, packed: Verified) -> None:
        mends = packed.id in self._damaged
        (self._batch.mended if mends else self._batch.objects).append(packed)
        self._damaged.discard(packed.id)
        self.new_length += packed.length if packed.kind is Kind.CHUNK else 0
        self._bytes += len(packed.payload) + OBJECT_BYTES

    def _commit(self, batch: Batch, number: int, earlier: Sequence[Future[Committed]]) -> Committed:
        if earlier:
            self._store.stage(batch)
            for commit in earlier:
                commit.result()
        committed = self._store.commit(batch)
        self._written.add(number)
        return committed
