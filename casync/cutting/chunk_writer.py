"""Writes chunks to a store: lists them in nodes, looks them up, packs the new ones.

Chunks come in the order of the content. The outcome depends only on the chunks, not on who cut
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from casync.access.progress import Progress
from casync.cutting.batch_writer import BatchWriter
from casync.ids import Buffer, Kind, NodeId, ObjectId, zero_chunk_id
from casync.objects.chunker import Zeros
from casync.objects.codec import Packer
from casync.objects.node import Content, NodeBuilder, Run
from casync.objects.record import ChunkRecords, records_of

__all__ = ["ChunkWriter", "RecordTaker", "Taker"]


class Taker(Protocol):
    """Takes the chunks of one content in order, and asks for the bytes of missing ones."""

    def take(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Takes the next chunks, each as (id, length)."""
        ...

    def take_zeros(self, zeros: Zeros) -> ObjectId:
        """Takes chunks of zeros; returns their id."""
        ...

    def reserve(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Reserves missing chunks and returns them; the caller must put these."""
        ...

    def pack(self, plain: Mapping[ObjectId, Buffer]) -> None:
        """Packs and takes reserved chunks whose bytes are in this process."""
        ...


class RecordTaker(Taker, Protocol):
    """Takes chunks that child processes have packed, too."""

    def put(self, records: ChunkRecords) -> None:
        """Takes reserved chunks that a child has packed."""
        ...


class ChunkWriter:
    """Takes the chunks of one content in order. Used by one thread.

    Args:
        writer: Looks objects up in the store, and writes them.
        level: zstd level.
        threads: Threads of zstd.
        progress: Advances by every byte taken.

    Attributes:
        chunks: Chunks taken, repeats included.
        new: Chunks reserved because the store lacked them, without repeats.
    """

    def __init__(
        self, writer: BatchWriter, *, level: int, threads: int, progress: Progress
    ) -> None:
        self._writer = writer
        self._progress = progress
        self._packer = Packer(level, threads)
        self._builder = NodeBuilder(self._node)
        self.chunks = 0
        self.new = 0

    def take(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Takes the next chunks, each as (id, length).

        Raises:
            CasyncError: What the store raises; the content is too long.
        """
        self._builder.extend(chunks)
        self.chunks += len(chunks)
        self._progress.advance(sum(length for _, length in chunks))

    def take_zeros(self, zeros: Zeros) -> ObjectId:
        """Takes chunks of zeros; returns their id. Raises as `take`."""
        ident = zero_chunk_id(zeros.length)
        self._builder.add(Run(ident, *zeros))
        self.chunks += zeros.times
        self._progress.advance(zeros.length * zeros.times)
        return ident

    def reserve(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Reserves missing chunks and returns them; the caller must put these.

        Raises:
            CasyncError: What the store raises.
        """
        new = self._writer.reserve(Kind.CHUNK, ids)
        self.new += len(new)
        return new

    def pack(self, plain: Mapping[ObjectId, Buffer]) -> None:
        """Packs and takes reserved chunks whose bytes are in this process.

        Raises:
            CasyncError: What the store raises, now or for earlier chunks.
        """
        if plain:
            self._writer.put_records(records_of(self._packer, [*plain.items()]))

    def put(self, records: ChunkRecords) -> None:
        """Takes reserved chunks that a child has packed. Raises as `pack`."""
        self._writer.put_records(records)

    def is_between(self, level: int) -> bool:
        """Whether a node of `level` would begin here; always true of chunks, which are level 0."""
        return self._builder.is_between(level)

    def again(self, level: int, run: Run) -> None:
        """Takes what an earlier content lists and the store has: chunks, or whole closed nodes.

        Raises:
            CasyncError: As `take`.
        """
        self._builder.adopt(level, run)
        self._progress.advance(run.length * run.times)

    def finish(self) -> Content:
        """Ends the content. By then the writer has everything below it.

        Raises:
            CasyncError: As `take`.
        """
        return self._builder.finish()

    def _node(self, ident: NodeId, data: bytes) -> None:
        if self._writer.reserve(Kind.NODE, [ident]):
            self._writer.put([self._packer.pack(Kind.NODE, ident, data)])
