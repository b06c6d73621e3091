"""Chunks on their way into a store: listed in nodes, looked up, packed.

Chunks come in the order of the content, whoever cut them; the outcome depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from casync.access.progress import Progress
from casync.cutting.batch_writer import BatchWriter
from casync.ids import Buffer, Kind, NodeId, ObjectId, zero_chunk_id
from casync.objects.chunker import Zeros
from casync.objects.codec import Packer, Verified
from casync.objects.node import Content, NodeBuilder, Run

__all__ = ["ChunkWriter", "Taker"]


class Taker(Protocol):
    """Takes the chunks of one content in order, and asks for the bytes of those that it lacks."""

    def take(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Takes the next chunks, each as (id, length)."""
        ...

    def take_zeros(self, zeros: Zeros) -> ObjectId:
        """Takes chunks of zeros, and says what they are called."""
        ...

    def reserve(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Those of the chunks that the caller must put."""
        ...

    def pack(self, plain: Mapping[ObjectId, Buffer]) -> list[Verified]:
        """Packs chunks that are here."""
        ...

    def put(self, objects: Sequence[Verified]) -> None:
        """Takes chunks that were claimed."""
        ...


class ChunkWriter:
    """Takes the chunks of one content in order. Used by one thread.

    Args:
        writer: Knows what the store lacks, and gets it.
        level: zstd level.
        threads: How many of zstd's threads pack what is packed here.
        progress: Is told of every byte that went through.

    Attributes:
        chunks: Chunks that went through, repeats included.
        new: Those that were not in the store, repeats left out.
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
        """Takes chunks of zeros, and says what they are called. Raises as `take`."""
        ident = zero_chunk_id(zeros.length)
        self._builder.add(Run(ident, *zeros))
        self.chunks += zeros.times
        self._progress.advance(zeros.length * zeros.times)
        return ident

    def reserve(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Those of the chunks that the caller must put, since nobody else does.

        Raises:
            CasyncError: What the store raises.
        """
        new = self._writer.reserve(Kind.CHUNK, ids)
        self.new += len(new)
        return new

    def pack(self, plain: Mapping[ObjectId, Buffer]) -> list[Verified]:
        """Packs chunks that are here."""
        return self._packer.pack_batch(Kind.CHUNK, [*plain.items()])

    def put(self, objects: Sequence[Verified]) -> None:
        """Takes chunks that were claimed.

        Raises:
            CasyncError: What the store raises, now or for chunks before.
        """
        self._writer.put(objects)

    def finish(self) -> Content:
        """Ends the list; the writer has been given everything below the content afterwards.

        Raises:
            CasyncError: As `take`.
        """
        return self._builder.finish()

    def _node(self, ident: NodeId, data: bytes) -> None:
        if self._writer.reserve(Kind.NODE, [ident]):
            self._writer.put([self._packer.pack(Kind.NODE, ident, data)])
