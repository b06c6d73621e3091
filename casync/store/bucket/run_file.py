"""A run whose rows are read block by block, from a file without a name if it is large."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO, Final

from casync.bucket.run import SegmentSize, TableChange, decode_changes, find_layout
from casync.bucket.run_columns import DISORDER, ROW_BYTES, RowColumns, decode_columns
from casync.errors import MalformedError
from casync.fs.os_errors import writing
from casync.ids import ID_BYTES, Buffer, Kind
from casync.limits import KIB

__all__ = ["RunFile"]

_EMPTY: Final = memoryview(b"")
_MEMORY_BYTES: Final = 64 * KIB
"""Bytes of a run that needs no file."""


class RunFile:
    """One run. Begin a kind, then take its rows in order; close it at the end.

    Args:
        data: The run.
        folder: Where the file is made.

    Raises:
        MalformedError, UnsupportedError: It is damaged, or newer than this program.
        NoSpaceError, WriteError: The file cannot be written.

    Attributes:
        store: The UUID of the store.
        segments: The segments that rows point to.
    """

    def __init__(self, data: Buffer, folder: Path) -> None:
        layout = find_layout(data)
        self.store = layout.store
        self.segments: list[SegmentSize] = layout.segments
        self._sizes = [segment.size for segment in layout.segments]
        self._rows = layout.rows
        self._changes = layout.changes
        self._block = ROW_BYTES
        self._at = self._end = 0
        self._read = _EMPTY
        self._last = b""
        self._folder = folder
        self._data = data if len(data) <= _MEMORY_BYTES else b""
        self._file: BinaryIO | None = None
        if not self._data:
            with writing(folder):
                self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - see `close`
                self._file.write(data)
                self._file.flush()

    def close(self) -> None:
        """Frees the file."""
        if self._file is not None:
            self._file.close()

    def count(self, kind: Kind) -> int:
        """Number of rows of a kind."""
        start, end = self._rows[kind]
        return (end - start) // ROW_BYTES

    @property
    def changes(self) -> list[TableChange]:
        """Changed rows of tables."""
        start, end = self._changes
        return decode_changes(self._pread(start, end))

    def begin(self, kind: Kind, block: int) -> None:
        """Goes to the first row of a kind.

        Args:
            kind: The kind.
            block: Rows to read at once.
        """
        self._at, self._end = self._rows[kind]
        self._block = max(block, 1) * ROW_BYTES
        self._read = _EMPTY
        self._last = b""

    def look(self) -> bytes | None:
        """Up to which id rows are read now, a block of them at least; None if all are."""
        if len(self._read) < self._block and self._at < self._end:
            stop = min(self._at + self._block, self._end)
            self._read = memoryview(bytes(self._read) + self._pread(self._at, stop))
            self._at = stop
        return self._id(len(self._read) // ROW_BYTES - 1) if self._at < self._end else None

    def take(self, last: bytes | None) -> RowColumns:
        """The next rows, up to the id `last` or to the end, of those that `look` has read.

        Raises:
            MalformedError: A row is malformed.
        """
        low, high = 0, len(self._read) // ROW_BYTES
        while last is not None and low < high:
            middle = (low + high) // 2
            if self._id(middle) <= last:
                low = middle + 1
            else:
                high = middle
        low = high if last is None else low
        taken, self._read = self._read[: low * ROW_BYTES], self._read[low * ROW_BYTES :]
        columns = decode_columns(taken, self._sizes)
        if columns.ids:
            if columns.ids[0] <= self._last:
                raise MalformedError(DISORDER)
            self._last = columns.ids[-1]
        return columns

    def _id(self, row: int) -> bytes:
        start = row * ROW_BYTES
        return bytes(self._read[start : start + ID_BYTES])

    def _pread(self, start: int, end: int) -> bytes:
        if self._file is None:
            return bytes(self._data[start:end])
        with writing(self._folder):
            return os.pread(self._file.fileno(), end - start, start)
