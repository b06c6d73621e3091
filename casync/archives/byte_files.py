"""Readers of bytes as files, as libraries want them, and files as readers of bytes."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Final, Protocol

from casync.archives.format import ByteReader
from casync.errors import MalformedError
from casync.ids import Buffer
from casync.limits import MAX_ARCHIVE_HEADER

__all__ = ["FileReader", "HeaderFile", "ReaderFile", "SeekableFile"]

_BUFFER_BYTES: Final = 16 * 1024
_PAGE_BYTES: Final = 64 * 1024
"""What is read at once of a file, and kept until another page is needed."""

_BLOCK_BYTES: Final = 1024 * 1024


class SeekableFile(Protocol):
    """The part of a binary file that is needed here."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves to a position; returns it."""
        ...

    def read(self, size: int, /) -> bytes:
        """Reads the next bytes; fewer only at the end."""
        ...


class FileReader:
    """The bytes of a file as a reader. Used by several threads.

    Small reads come from a page that is kept, and what follows the page is read where it ends: a
    file that can only go forwards is not begun again for a step back, nor read twice.

    Args:
        file: The file.
        length: How many bytes it has.
        page: Bytes that are read at least, where one is read.
        ahead: Bytes of a range that are read at once.
    """

    def __init__(
        self,
        file: SeekableFile,
        length: int,
        *,
        page: int = _PAGE_BYTES,
        ahead: int = _BLOCK_BYTES,
    ) -> None:
        self._file = file
        self._least = page
        self._ahead = ahead
        self._lock = threading.Lock()
        self._page = b""
        self._page_start = 0
        self.length = length

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of a range; fewer only where the file ends."""
        with self._lock:
            kept = self._kept(offset, length)
            missing = length - len(kept)
            if missing <= 0:
                return kept
            self._file.seek(offset + len(kept))
            self._page = kept + self._file.read(max(missing, self._least))
            self._page_start = offset
            return self._page[:length]

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a range in order, in blocks of at most a mebibyte."""
        while start < end:
            with self._lock:
                block = self._kept(start, end - start)
                if not block:
                    self._file.seek(start)
                    block = self._file.read(min(end - start, self._ahead))
            if not block:
                return
            start += len(block)
            for at in range(0, len(block), _BLOCK_BYTES):
                yield block[at : at + _BLOCK_BYTES]

    def _kept(self, offset: int, length: int) -> bytes:
        """What the page has of a range, from its beginning on."""
        at = offset - self._page_start
        return self._page[at : at + length] if at >= 0 else b""


class ReaderFile(io.RawIOBase):
    """The bytes of a reader as a file.

    Args:
        reader: Has the bytes.
        start: Where the file begins.
    """

    def __init__(self, reader: ByteReader, start: int = 0) -> None:
        self._reader = reader
        self._at = start

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read anywhere."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a position; returns it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._reader.length}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: Buffer) -> int:  # type: ignore[override]
        """Reads the next bytes; returns how many."""
        view = memoryview(buffer).cast("B")
        data = self._reader.read(self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class HeaderFile(io.BufferedReader):
    """A file of which headers are read: no read is longer than a header may be."""

    def __init__(self, reader: ByteReader, start: int = 0) -> None:
        super().__init__(ReaderFile(reader, start), _BUFFER_BYTES)

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads `size` bytes; fewer at the end.

        Raises:
            MalformedError: No header has that size.
        """
        if size is None or not 0 <= size <= MAX_ARCHIVE_HEADER:
            raise MalformedError(f"the archive has a header of {size} bytes before {self.tell()}")
        return super().read(size)
