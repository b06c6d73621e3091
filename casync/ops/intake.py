"""Content on its way into a store: cut, named, looked up, packed, listed in nodes.

The caller's thread cuts and hashes, workers look up and pack, and the caller's thread again takes
their answers in order, so that the outcome does not depend on how many they are. Hashing stays
with the cutter because it lets go of the interpreter: a cutter alone would keep it, and workers
that hash would wait for it at every chunk.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from casync.chunker import ChunkerParams, Cutter, Pieces, Zeros
from casync.codec import Packer, Verified
from casync.ids import Buffer, Kind, NodeId, ObjectId, chunk_id, zero_chunk_id
from casync.limits import MIB
from casync.node import Content, NodeBuilder, Run
from casync.ops.batches import BatchWriter
from casync.ops.progress import Progress
from casync.store.base import ObjectStore

__all__ = ["Intake"]

_JOB_BYTES: Final = 4 * MIB
"""Bytes of buffers in one job."""

_JOB_RUNS: Final = 16384
"""Runs in one job: a bound for chunks of a few bytes, and for holes."""


@dataclass(slots=True)
class _Job:
    """Neighbouring chunks that one worker looks up and packs.

    Attributes:
        runs: The chunks in order.
        plain: The bytes of each distinct chunk; the worker lets go of them.
        held: Bytes of the buffers that `plain` keeps alive, at most.
        length: Bytes that `runs` cover.
        written: What the writer had written before the look-up.
    """

    runs: list[Run] = field(default_factory=list)
    plain: dict[ObjectId, Buffer] = field(default_factory=dict)
    held: int = 0
    length: int = 0
    written: int = 0


class Intake:
    """Takes the bytes of one content in order. Used by one thread; close it whatever happens.

    Args:
        store: Is asked for what it has.
        writer: Gets what the store lacks.
        params: Chunk sizes.
        level: zstd level.
        workers: Threads that look up and pack.
        progress: Is told of every byte that went through.

    Attributes:
        chunks: Chunks that went through, repeats included.
        new: Those that were not in the store, repeats left out.
    """

    def __init__(
        self,
        store: ObjectStore,
        writer: BatchWriter,
        *,
        params: ChunkerParams,
        level: int,
        workers: int,
        progress: Progress,
    ) -> None:
        self._store = store
        self._writer = writer
        self._progress = progress
        self._cutter = Cutter(params)
        self._builder = NodeBuilder(self._node)
        self._packers = _Packers(level)
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
        self._max_waiting = workers + 1
        self._waiting: deque[tuple[_Job, Future[list[Verified]]]] = deque()
        self._job = _Job()
        self._written = 0
        self.chunks = 0
        self.new = 0

    def feed(self, data: bytes) -> None:
        """Takes the next bytes.

        Raises:
            CasyncError: What the store raises, now or for bytes before.
        """
        self._take((self._cutter.feed(data),))

    def feed_zeros(self, count: int) -> None:
        """Takes `count` zero bytes. Raises as `feed`."""
        self._take(self._cutter.feed_zeros(count))

    def finish(self) -> Content:
        """Takes the end; the writer has been given everything below the content afterwards.

        Raises:
            CasyncError: As `feed`.
        """
        self._take((self._cutter.finish(),))
        self._submit()
        while self._waiting:
            self._collect()
        return self._builder.finish()

    def close(self) -> None:
        """Ends the workers; jobs that did not begin are dropped."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _take(self, found: Iterable[Pieces | Zeros]) -> None:
        for pieces in found:
            job = self._job
            if isinstance(pieces, Zeros):
                ident = zero_chunk_id(pieces.length)
                job.plain.setdefault(ident, _zeros(pieces.length))
                job.runs.append(Run(ident, *pieces))
                job.length += pieces.length * pieces.times
            else:
                view = memoryview(pieces.buffer)
                runs, plain = job.runs, job.plain
                start = 0
                for length in pieces.lengths:
                    chunk = view[start : start + length]
                    start += length
                    ident = chunk_id(chunk)
                    runs.append(Run(ident, length, 1))
                    plain[ident] = chunk
                job.held += len(pieces.buffer)
                job.length += start
            if job.held >= _JOB_BYTES or len(job.runs) >= _JOB_RUNS:
                self._submit()

    def _submit(self) -> None:
        job, self._job = self._job, _Job()
        job.written = self._writer.written
        self._waiting.append((job, self._executor.submit(self._pack, job)))
        waiting = self._waiting
        while waiting and (len(waiting) > self._max_waiting or waiting[0][1].done()):
            self._collect()

    def _pack(self, job: _Job) -> list[Verified]:
        """A worker's part: what the store lacks, packed."""
        plain, job.plain = job.plain, {}
        ids = list(plain)
        known = self._store.known(Kind.CHUNK, ids)
        unknown = [
            (ident, plain[ident]) for ident, there in zip(ids, known, strict=True) if not there
        ]
        return self._packers.get().pack_batch(Kind.CHUNK, unknown)

    def _collect(self) -> None:
        job, future = self._waiting.popleft()
        self._written = job.written
        self.new += self._writer.put(future.result(), job.written)
        for run in job.runs:
            self._builder.add(run)
            self.chunks += run.times
        self._progress.advance(job.length)

    def _node(self, ident: NodeId, data: bytes) -> None:
        if not self._store.known(Kind.NODE, [ident])[0]:
            self._writer.put([self._packers.get().pack(Kind.NODE, ident, data)], self._written)


@lru_cache(maxsize=1)
def _zeros(length: int) -> bytes:
    return bytes(length)


class _Packers(threading.local):
    """One packer a thread."""

    def __init__(self, level: int) -> None:
        self._packer = Packer(level)

    def get(self) -> Packer:
        return self._packer
