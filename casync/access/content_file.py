"""Reads content as a seekable binary file. Every chunk is proved before its bytes are returned."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

from casync.access.outline import Outline
from casync.errors import DamagedObjectError
from casync.ids import Buffer, ChunkId, Kind
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.node import Run, runs
from casync.store.base import ObjectSource
from casync.store.proved import ProvedReader

__all__ = ["ContentFile", "read_range"]

_AHEAD_BYTES: Final = 4 * MIB
"""Plain bytes of chunks that one batch requests."""

_ZEROS: Final = bytes(MIB)


def read_range(
    outline: Outline, source: ObjectSource, start: int, end: int, *, ahead: int = _AHEAD_BYTES
) -> Iterator[Buffer]:
    """The bytes from `start` up to `end`, in pieces. Memory does not depend on the range.

    Args:
        outline: Lists the chunks.
        source: Has the chunks.
        start: Offset of the first byte.
        end: Offset after the last byte.
        ahead: Plain bytes of chunks that one batch requests and holds.

    Raises:
        NoObjectError, IntegrityError: A chunk is missing or damaged. Earlier pieces are good.
    """
    reader = _Reader(outline, source)
    batch: list[tuple[int, ChunkId, int]] = []
    pending = 0
    for offset, run in runs(outline.content, outline.node, start):
        if offset >= end:
            break
        if outline.is_hole(run.id, run.length):
            yield from reader.pieces(batch, start, end)
            batch, pending = [], 0
            yield from _zeros(max(offset, start), min(offset + run.length * run.times, end))
            continue
        for at in _offsets(offset, run, end):
            batch.append((at, ChunkId(run.id), run.length))
            pending += run.length
            if pending >= ahead or len(batch) == MAX_BATCH_IDS:
                yield from reader.pieces(batch, start, end)
                batch, pending = [], 0
    yield from reader.pieces(batch, start, end)


def _offsets(offset: int, run: Run, end: int) -> range:
    return range(offset, min(offset + run.length * run.times, end), run.length)


def _zeros(start: int, end: int) -> Iterator[bytes]:
    while start < end:
        piece = _ZEROS[: end - start]
        yield piece
        start += len(piece)


class _Reader:
    def __init__(self, outline: Outline, source: ObjectSource) -> None:
        self._outline = outline
        self._objects = ProvedReader(source)

    def pieces(
        self, batch: list[tuple[int, ChunkId, int]], start: int, end: int
    ) -> Iterator[Buffer]:
        """The chunks of a batch, trimmed to the range from `start` to `end`."""
        if not batch:
            return
        distinct = list(dict.fromkeys(ident for _, ident, _ in batch))
        plain = dict(zip(distinct, self._objects.plain(Kind.CHUNK, distinct), strict=True))
        for offset, ident, length in batch:
            data = plain[ident]
            if len(data) != length:
                raise DamagedObjectError(f"chunk {ident.hex()} has {len(data)} bytes, not {length}")
            if offset >= start and offset + length <= end:
                yield data
            else:
                yield memoryview(data)[max(start - offset, 0) : end - offset]


class ContentFile(io.RawIOBase):
    """The content of a manifest as a read-only file. Used by one thread at a time.

    Wrap it in `io.BufferedReader` for many small reads.
    """

    def __init__(self, outline: Outline, source: ObjectSource) -> None:
        super().__init__()
        self._outline = outline
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves the position, and returns it. Positions beyond the end are allowed.

        Raises:
            ValueError: The position is before the start, or `whence` is unknown.
        """
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}
        if whence not in bases:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence}")
        base = bases[whence]
        if base + offset < 0:
            raise ValueError("position before the start of the content")
        self._position = base + offset
        return self._position

    @property
    def _length(self) -> int:
        return self._outline.content.length

    def readinto(self, buffer: Buffer) -> int:  # type: ignore[override]
        """Fills `buffer` up to the end of the content; returns the bytes read.

        Raises:
            NoObjectError, IntegrityError: As `read_range`.
        """
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self._length)
        filled = 0
        if self._position < end:
            for piece in read_range(self._outline, self._source, self._position, end):
                view[filled : filled + len(piece)] = piece
                filled += len(piece)
        self._position += filled
        return filled
