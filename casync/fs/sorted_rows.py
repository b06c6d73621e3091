"""Sorts rows with bounded memory: a merge sort whose parts are files without names."""

from __future__ import annotations

import errno
import heapq
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, Final, Generic, Self, TypeVar

import msgspec

from casync.errors import NoSpaceError, WriteError

__all__ = ["PlaceRow", "SortedRows"]

_PART_ROWS: Final = 100_000
"""Rows in memory: some 50 MiB."""

_BLOCK_ROWS: Final = 512


class PlaceRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An object, and the segment and the offset where its record lies."""

    segment: int
    offset: int
    id: bytes

    @staticmethod
    def place(row: PlaceRow) -> tuple[int, int]:
        """The key to sort by."""
        return row.segment, row.offset


_Row = TypeVar("_Row", bound=msgspec.Struct)


class SortedRows(Generic[_Row]):
    """Rows of one type. Use in a with block: fill it, then iterate it, one iteration at a time.

    Args:
        row_type: The type, as MessagePack encodes it.
        order: The key to sort by.
        what: What is listed, for messages.
    """

    def __init__(self, row_type: type[_Row], order: Callable[[_Row], Any], what: str) -> None:
        self._decoder = msgspec.msgpack.Decoder(list[row_type])  # type: ignore[valid-type]
        self._order = order
        self._what = what
        self._rows: list[_Row] = []
        self._parts: list[BinaryIO] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __bool__(self) -> bool:
        return bool(self._rows or self._parts)

    def clear(self) -> None:
        """Drops all rows."""
        self._rows, self._parts = [], []
        self._stack.close()

    def add(self, row: _Row) -> None:
        """Adds a row.

        Raises:
            NoSpaceError, WriteError: The rows cannot be written.
        """
        self._rows.append(row)
        if len(self._rows) >= _PART_ROWS:
            self._put_away()

    def __iter__(self) -> Iterator[_Row]:
        """All rows in order.

        Raises:
            WriteError: The rows cannot be read back.
        """
        self._rows.sort(key=self._order)
        parts = [self._read(part) for part in self._parts]
        with self._file_errors():
            yield from heapq.merge(self._rows, *parts, key=self._order)

    def _put_away(self) -> None:
        self._rows.sort(key=self._order)
        with self._file_errors():
            part = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            for start in range(0, len(self._rows), _BLOCK_ROWS):
                data = msgspec.msgpack.encode(self._rows[start : start + _BLOCK_ROWS])
                part.write(len(data).to_bytes(4, "big") + data)
        self._parts.append(part)
        self._rows = []

    def _read(self, part: BinaryIO) -> Iterator[_Row]:
        part.seek(0)
        while head := part.read(4):
            yield from self._decoder.decode(part.read(int.from_bytes(head, "big")))

    @contextmanager
    def _file_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise (NoSpaceError if full else WriteError)(
                f"cannot keep {self._what} in {tempfile.gettempdir()}: {error.strerror}",
                next_step="Set TMPDIR to another folder.",
            ) from error
