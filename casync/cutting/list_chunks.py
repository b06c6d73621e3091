"""Lists the chunks of a local file: cuts it as `prepare` does, but packs and stores nothing.

Child processes cut large files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from casync.access.progress import Progress
from casync.cutting.cut import cut, usable_cpus
from casync.fs.source.file import FileSource
from casync.ids import Buffer, ChunkId, ObjectId, zero_chunk_id
from casync.objects.chunker import ChunkerParams, Zeros
from casync.objects.codec import DEFAULT_LEVEL
from casync.objects.node import Run
from casync.objects.record import ChunkRecords

__all__ = ["NotedChunks", "ChunkTaker", "list_chunks"]


class ChunkTaker(Protocol):
    """Takes the chunks of a file, in order: a `NodeBuilder`, or `NotedChunks`."""

    def extend(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Takes chunks, each as (id, length)."""
        ...

    def add(self, run: Run) -> None:
        """Takes a run of equal chunks, which are a hole."""
        ...


def list_chunks(
    path: Path,
    params: ChunkerParams,
    taker: ChunkTaker,
    progress: Progress,
    *,
    descriptor: int | None = None,
) -> None:
    """Passes all chunks of a file or block device to `taker`, in order.

    Args:
        path: The file, or only its name if it is open.
        params: How to cut it.
        taker: Takes the chunks.
        progress: Is told of bytes that are read.
        descriptor: The open file to read.

    Raises:
        CasyncError: It cannot be read, or changed meanwhile. Chunks passed before remain hints.
    """
    with FileSource(path, descriptor=descriptor) as source:
        listing = _Listing(taker, progress)
        cut(source, listing, params, level=DEFAULT_LEVEL, workers=usable_cpus())


class NotedChunks:
    """Passes chunks on one by one, without holes.

    Args:
        params: How the file is cut.
        note: Takes a chunk as (offset, id, length).
    """

    def __init__(self, params: ChunkerParams, note: Callable[[int, ChunkId, int], object]) -> None:
        self._hole = zero_chunk_id(params.max_size)
        self._note = note
        self._offset = 0

    def extend(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Passes on chunks."""
        for ident, length in chunks:
            if ident != self._hole:
                self._note(self._offset, ChunkId(ident), length)
            self._offset += length

    def add(self, run: Run) -> None:
        """Skips a hole."""
        self._offset += run.length * run.times


class _Listing:
    """Takes chunks as a chunk writer does, and never asks for their bytes."""

    def __init__(self, taker: ChunkTaker, progress: Progress) -> None:
        self._taker = taker
        self._progress = progress

    def take(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Passes on the next chunks."""
        self._taker.extend(chunks)
        self._progress.advance(sum(length for _, length in chunks))

    def take_zeros(self, zeros: Zeros) -> ObjectId:
        """Passes on a hole."""
        ident = zero_chunk_id(zeros.length)
        self._taker.add(Run(ident, zeros.length, zeros.times))
        self._progress.advance(zeros.length * zeros.times)
        return ident

    def reserve(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Reserves nothing."""
        return set()

    def pack(self, plain: Mapping[ObjectId, Buffer]) -> None:
        """Nothing was reserved."""

    def put(self, records: ChunkRecords) -> None:
        """Nothing was reserved."""
