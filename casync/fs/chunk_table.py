"""Lists of chunks in a file without a name, so that memory does not grow with the seeds."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, Final

from casync.fs.extents import read_range, write_range
from casync.ids import ChunkId
from casync.planning.plan import Block

__all__ = ["ChunkSection", "ChunkTable"]

_ROW: Final = struct.Struct("<32sQQ")
_BLOCK_ROWS: Final = 256
_BUFFERED_BYTES: Final = 1 << 20


class ChunkTable:
    """The file, which is made when the first section begins. A section is the chunks of one seed.

    Sections lie one after the other: only the last one grows.
    """

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self._fd = -1
        self._rows = 0

    def section(self) -> ChunkSection:
        """Begins a section, and ends the one before.

        Raises:
            OSError: There is no room for a file.
        """
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            self._fd = self._file.fileno()
        return ChunkSection(self, self._rows)

    def append(self, data: bytes | bytearray) -> int:
        """Appends encoded rows; returns how many rows there are.

        Raises:
            OSError: The file cannot be written.
        """
        write_range(self._fd, self._rows * _ROW.size, [data])
        self._rows += len(data) // _ROW.size
        return self._rows

    def rows(self, start: int, count: int) -> list[tuple[bytes, int, int]]:
        """Rows as (id, offset, length).

        Raises:
            OSError: The file cannot be read.
        """
        data = read_range(self._fd, start * _ROW.size, count * _ROW.size)
        return list(_ROW.iter_unpack(data))

    def close(self) -> None:
        """Removes the file. May be called again."""
        if self._file is not None:
            self._file.close()
            self._file, self._fd = None, -1


class ChunkSection:
    """The chunks of one seed by ascending offset. One thread adds; any thread reads.

    Args:
        table: Has the rows.
        first: The number of the first one.
    """

    def __init__(self, table: ChunkTable, first: int) -> None:
        self._table = table
        self._first = self._end = first
        self._buffer = bytearray()

    def add(self, offset: int, ident: ChunkId, length: int) -> None:
        """Appends a chunk.

        Raises:
            OSError: The file of the table cannot be written.
        """
        self._buffer += _ROW.pack(ident, offset, length)
        if len(self._buffer) >= _BUFFERED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Makes all chunks visible to readers.

        Raises:
            OSError: The file of the table cannot be written.
        """
        if self._buffer:
            self._end = self._table.append(self._buffer)
            self._buffer = bytearray()

    def blocks(self) -> Iterator[Block]:
        """All chunks, in order.

        Raises:
            OSError: The file of the table cannot be read.
        """
        for start in range(self._first, self._end, _BLOCK_ROWS):
            rows = self._table.rows(start, min(_BLOCK_ROWS, self._end - start))
            ids, offsets, _ = zip(*rows, strict=True)
            yield Block(ids, partial(tuple, offsets))

    def between(self, start: int, end: int) -> Iterator[tuple[int, ChunkId, int]]:
        """The chunks that overlap a range, as (offset, id, length).

        Raises:
            OSError: The file of the table cannot be read.
        """
        if start >= end:
            return
        low, high = self._first, self._end
        while low < high:
            middle = (low + high) // 2
            _, offset, length = self._table.rows(middle, 1)[0]
            low, high = (low, middle) if offset + length > start else (middle + 1, high)
        while low < self._end:
            for ident, offset, length in self._table.rows(low, min(_BLOCK_ROWS, self._end - low)):
                if offset >= end:
                    return
                yield offset, ChunkId(ident), length
            low += _BLOCK_ROWS
