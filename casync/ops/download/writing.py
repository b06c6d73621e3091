"""Writing by many threads: one `BatchWriter` behind a lock, whose commits take what is finished.

While a commit is written the next one is gathered: whatever is finished meanwhile goes into it, so
the number of commits follows the disk and not the number of objects. The names of an object, its
manifest and the rows of the job are in the commit of its last chunks or in a later one.

A failed commit fails everything after it, because that may rely on what was in it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from typing import Final, Self

from casync.cutting.batch_writer import BatchWriter
from casync.cutting.cut import usable_cpus
from casync.cutting.small import Chunks
from casync.ids import Kind, NodeId, ObjectId
from casync.objects.codec import DEFAULT_LEVEL, Packer, Verified
from casync.objects.node import Content, NodeBuilder
from casync.objects.record import ChunkRecords, records_of
from casync.store.base import Batch, ObjectStore

__all__ = ["ContentWriter", "SharedWriter"]

_INTERVAL: Final = 1.0
"""Seconds after which rows are written if nothing else asks for a commit."""

_GATHERING: Final = 0.03
"""Seconds in which finished objects are gathered for one commit: each rewrites the job's row."""

_MOST_FINISHED: Final = 4096
"""Finished objects of one commit. Each has rows in several pages, however small it is."""


class SharedWriter:
    """The writer of a job. Safe for threads. Use in a with block; `finish` ends it in order.

    Args:
        store: The store.
        seal: Returns the rows of the next commit, or None if there are none. Called in a turn.
        level: zstd level.
        interval: Seconds between two commits when nothing is urgent.

    Attributes:
        cutting: Held while bytes are cut, hashed and packed. Each chunk frees the interpreter, and
            more threads than there are CPUs for would pass it round instead of working.
    """

    def __init__(
        self,
        store: ObjectStore,
        seal: Callable[[], Batch | None],
        *,
        level: int = DEFAULT_LEVEL,
        interval: float = _INTERVAL,
    ) -> None:
        self._store = store
        self._seal = seal
        self._level = level
        self._interval = interval
        self.cutting = threading.BoundedSemaphore(max(1, usable_cpus() // 2))
        self._local = threading.local()
        self._writer = BatchWriter(store)
        self._changed = threading.Condition()
        self._finished = 0  # urgent turns since the last commit began
        self._ends = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="job-commits")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        """Ends the threads. What is not committed is dropped."""
        with self._changed:
            self._ends = True
            self._seal = _nothing
            self._changed.notify_all()
        self._thread.join()
        self._writer.close()

    @property
    def stored(self) -> int:
        """Bytes added to the store."""
        return self._writer.stored

    @property
    def packer(self) -> Packer:
        """The packer of this thread."""
        packer: Packer | None = getattr(self._local, "packer", None)
        if packer is None:
            packer = self._local.packer = Packer(self._level)
        return packer

    @contextmanager
    def turn(self, *, urgent: bool = False) -> Iterator[BatchWriter]:
        """A turn of this thread: what is put, and what `seal` returns, form one commit.

        Waits while the next commit is full and the one before it is being written.

        Args:
            urgent: Something is finished, so that a commit shall start as soon as it can.

        Raises:
            CasyncError: A commit failed; as `ObjectStore.commit`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or not self._is_full)
            self.check()
            yield self._writer
            self._finished += urgent
            if self._finished or self._is_full:
                self._changed.notify_all()

    @contextmanager
    def look(self) -> Iterator[None]:
        """Keeps the turns of others away, to read what `seal` reads."""
        with self._changed:
            yield

    def check(self) -> None:
        """Raises the error of a failed commit."""
        if self._error is not None:
            raise self._error

    def missing(self, kind: Kind, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """The objects that are neither in the store nor on their way to it.

        Nothing is reserved: another thread may put the same ones, and the first one wins.

        Raises:
            CasyncError: What the store raises; a commit failed.
        """
        with self._changed:
            self.check()
            new = self._writer.absent(ids)
        asked = list(new)
        return new.difference(compress(asked, self._store.known(kind, asked)))

    def put(self, objects: Sequence[Verified]) -> None:
        """Takes objects. Raises as `turn`."""
        with self.turn() as batch:
            batch.put_absent(objects)

    def put_records(self, records: ChunkRecords) -> None:
        """Takes records of chunks. Raises as `turn`."""
        with self.turn() as batch:
            batch.put_absent_records(records)

    def finish(self) -> None:
        """Writes everything. Durable on return. Raises as `turn`."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()
        self._thread.join()
        self.check()

    @property
    def _is_full(self) -> bool:
        return self._writer.is_full or self._finished >= _MOST_FINISHED

    def _run(self) -> None:
        try:
            while self._commit():
                pass
        except BaseException as error:  # every thread of the job must learn of it
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _commit(self) -> bool:
        """Writes one commit when one is due. Returns False at the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._finished or self._ends or self._is_full, self._interval
            )
            self._changed.wait_for(lambda: self._ends or self._is_full, _GATHERING)
            ends, is_full, self._finished = self._ends, self._is_full, 0
            rows = self._seal()
            if rows is None and not is_full:
                return not ends
            self._writer.add(rows or Batch())
            self._writer.start()
        self._writer.wait()
        with self._changed:
            self._changed.notify_all()
        return True


def _nothing() -> None:
    return None


class ContentWriter:
    """Takes the chunks of one content in order, beside those of others.

    Args:
        writer: The writer of the job.
        note: Is told of chunks, each as (id, length), once they are in the store or on their way;
            chunks that are told of are in the commit that is gathered then, or in earlier ones.
    """

    def __init__(
        self,
        writer: SharedWriter,
        note: Callable[[Sequence[tuple[bytes, int]]], None],
    ) -> None:
        self._writer = writer
        self._note = note
        self._builder = NodeBuilder(self._node)

    def again(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Takes chunks that are known to be in the store. Raises as `take`."""
        self._builder.extend(chunks)

    def take(self, chunks: Chunks) -> None:
        """Takes the next chunks, and packs those that are missing. All are safe afterwards.

        Raises:
            CasyncError: What the store raises; the content is too long.
        """
        if not chunks:
            return
        taken = [(ident, len(chunk)) for ident, chunk in chunks]
        self._builder.extend(taken)
        plain = dict(chunks)
        missing = self._writer.missing(Kind.CHUNK, plain)
        if missing:
            items = [item for item in plain.items() if item[0] in missing]
            self._writer.put_records(records_of(self._writer.packer, items))
        self._note(taken)

    def finish(self) -> Content:
        """Ends the content. By then the writer has everything below it. Raises as `take`."""
        return self._builder.finish()

    def _node(self, ident: NodeId, data: bytes) -> None:
        if self._writer.missing(Kind.NODE, [ident]):
            self._writer.put([self._writer.packer.pack(Kind.NODE, ident, data)])
