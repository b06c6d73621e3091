"""A reader of bytes as a file, for libraries that read headers from files."""

from __future__ import annotations

import io

from casync.archives.format import ByteReader
from casync.errors import MalformedError
from casync.ids import Buffer
from casync.limits import MAX_ARCHIVE_HEADER

__all__ = ["HeaderFile", "ReaderFile"]

_BUFFER_BYTES = 16 * 1024


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
