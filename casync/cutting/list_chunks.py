"""Lists the chunks of a local file: cuts it as `prepare` does, but packs and stores nothing.

Child processes cut large files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from casync.access.progress import Progress
from casync.cutting.cut import cut, usable_cpus
from casync.fs.source.file import FileSource
from casync.ids import Buffer, ChunkId, ObjectId, zero_chunk_id
from casync.objects.chunker import ChunkerParams, Zeros
from casync.objects.codec import DEFAULT_LEVEL
from casync.objects.record import ChunkRecords

__all__ = ["Note", "list_chunks"]

Note: TypeAlias = Callable[[int, ChunkId, int], object]
"""Takes a chunk as (offset, id, length)."""


def list_chunks(
    path: Path,
    params: ChunkerParams,
    note: Note,
    progress: Progress,
    *,
    descriptor: int | None = None,
) -> None:
    """Passes all chunks of a file or block device to `note`, in order, without its holes.

    Args:
        path: The file, or only its name if it is open.
        params: How to cut it.
        note: Takes the chunks.
        progress: Is told of bytes that are read.
        descriptor: The open file to read.

    Raises:
        CasyncError: It cannot be read, or changed meanwhile. Chunks passed before remain hints.
    """
    with FileSource(path, descriptor=descriptor) as source:
        cut(
            source,
            _Listing(params, note, progress),
            params,
            level=DEFAULT_LEVEL,
            workers=usable_cpus(),
        )


class _Listing:
    """Takes chunks as a chunk writer does, and never asks for their bytes."""

    def __init__(self, params: ChunkerParams, note: Note, progress: Progress) -> None:
        self._hole = zero_chunk_id(params.max_size)
        self._note = note
        self._progress = progress
        self._offset = 0

    def take(self, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Passes on the next chunks."""
        start = self._offset
        for ident, length in chunks:
            if ident != self._hole:
                self._note(self._offset, ChunkId(ident), length)
            self._offset += length
        self._progress.advance(self._offset - start)

    def take_zeros(self, zeros: Zeros) -> ObjectId:
        """Skips a hole."""
        self._offset += zeros.length * zeros.times
        self._progress.advance(zeros.length * zeros.times)
        return zero_chunk_id(zeros.length)

    def reserve(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Reserves nothing."""
        return set()

    def pack(self, plain: Mapping[ObjectId, Buffer]) -> None:
        """Nothing was reserved."""

    def put(self, records: ChunkRecords) -> None:
        """Nothing was reserved."""
