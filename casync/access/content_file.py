"""Reads content as a seekable binary file. Every chunk is proved before its bytes are returned."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from casync.access.outline import Outline
from casync.errors import DamagedObjectError
from casync.ids import Buffer, ChunkId, Kind
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.chunk_runs import runs
from casync.objects.node import Run
from casync.sizes import format_count
from casync.store.base import ObjectSource
from casync.store.proved import Lost, ProvedReader

__all__ = ["ContentFile", "FileBytes", "Readable", "read_batches", "read_range"]

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
    for batch in read_batches(outline, source, start, end, lambda: ahead):
        yield from batch


def read_batches(
    outline: Outline, source: ObjectSource, start: int, end: int, ahead: Callable[[], int]
) -> Iterator[list[Buffer]]:
    """The same in the batches that are read together. Between two batches nothing is held.

    Args:
        outline: Lists the chunks.
        source: Has the chunks.
        start: Offset of the first byte.
        end: Offset after the last byte.
        ahead: Plain bytes of chunks that the next batch requests.

    Raises:
        NoObjectError, IntegrityError: As `read_range`.
    """
    reader = _Reader(outline, source, start, end)
    wanted: list[tuple[int, ChunkId, int]] = []
    pending, limit = 0, ahead()
    for offset, run in runs(outline.content, outline.node, start):
        if offset >= end:
            break
        if outline.is_hole(run.id, run.length):
            if wanted:
                yield reader.batch(wanted)
                pending, limit = 0, ahead()
            yield from _zeros(max(offset, start), min(offset + run.length * run.times, end))
            continue
        for at in _offsets(offset, run, end):
            wanted.append((at, ChunkId(run.id), run.length))
            pending += run.length
            if pending >= limit or len(wanted) == MAX_BATCH_IDS:
                yield reader.batch(wanted)
                pending, limit = 0, ahead()
    if wanted:
        yield reader.batch(wanted)


def _offsets(offset: int, run: Run, end: int) -> range:
    return range(offset, min(offset + run.length * run.times, end), run.length)


def _zeros(start: int, end: int) -> Iterator[list[Buffer]]:
    while start < end:
        length = min(end - start, len(_ZEROS))
        yield [_ZEROS[:length]]
        start += length


class _Reader:
    """Reads chunks in a range of content."""

    def __init__(self, outline: Outline, source: ObjectSource, start: int, end: int) -> None:
        self._outline = outline
        self._objects = ProvedReader(source)
        self._start = start
        self._end = end

    def batch(self, wanted: list[tuple[int, ChunkId, int]]) -> list[Buffer]:
        """The wanted chunks, trimmed to the range. Empties `wanted`."""
        distinct = list(dict.fromkeys(ident for _, ident, _ in wanted))
        plain: dict[ChunkId, bytes] = {}
        for ident, found in zip(distinct, self._objects.look(Kind.CHUNK, distinct), strict=True):
            if isinstance(found, Lost):
                offset, _, length = next(one for one in wanted if one[1] == ident)
                raise found.error(part=self._outline.part(offset, length))
            plain[ident] = found
        parts: list[Buffer] = []
        for offset, ident, length in wanted:
            data = plain[ident]
            if len(data) != length:
                has = format_count(len(data), "byte")
                raise DamagedObjectError(f"chunk {ident.hex()} has {has}, not {length}")
            inside = data[max(self._start - offset, 0) : self._end - offset]
            parts.append(inside)  # a copy, if it is a part: a view would hold the whole chunk
        wanted.clear()
        return parts


class Readable(Protocol):
    """The bytes of a file, or of a member of an archive.

    Attributes:
        length: How many there are.
    """

    length: int

    def read(self, start: int, end: int) -> Iterator[Buffer]:
        """The bytes of a range, every chunk proved.

        Raises:
            NoObjectError, IntegrityError: Chunks are missing, or something is damaged.
        """


class FileBytes:
    """The bytes of a file.

    Attributes:
        outline: Lists its chunks.
        length: As of `Readable`.
    """

    def __init__(self, outline: Outline, source: ObjectSource) -> None:
        self.outline = outline
        self._source = source
        self.length = outline.length

    def read(self, start: int, end: int) -> Iterator[Buffer]:
        """As `Readable.read`."""
        return read_range(self.outline, self._source, start, end)


class ContentFile(io.RawIOBase):
    """The content of a manifest as a read-only file. Used by one thread at a time.

    Wrap it in `io.BufferedReader` for many small reads.
    """

    def __init__(self, content: Readable) -> None:
        super().__init__()
        self._content = content
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
        return self._content.length

    def readinto(self, buffer: Buffer) -> int:  # type: ignore[override]
        """Fills `buffer` up to the end of the content; returns the bytes read.

        Raises:
            NoObjectError, IntegrityError: As `read_range`.
        """
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self._length)
        filled = 0
        if self._position < end:
            for piece in self._content.read(self._position, end):
                view[filled : filled + len(piece)] = piece
                filled += len(piece)
        self._position += filled
        return filled
