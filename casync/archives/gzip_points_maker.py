"""Makes the points of a gzip archive from bytes that another reader reads anyway.

indexed_gzip reads a file. Here it has a thread of its own, which is handed each block, so that the
archive is read once.
"""

from __future__ import annotations

import io
import threading
from collections import deque
from types import TracebackType
from typing import Final, Self

from casync.archives.byte_files import ReaderFile
from casync.archives.format import ByteReader
from casync.archives.gzip_points import POINT_SPACING, GzipPoints
from casync.errors import MalformedError
from casync.limits import MIB

__all__ = ["GzipPointsMaker"]

_WAITING: Final = 4
"""Blocks that wait for the thread."""

_READ_BYTES: Final = MIB // 4


class GzipPointsMaker:
    """Takes the bytes of an archive, and gives its points. Use in a with block.

    Args:
        stored: The archive. What is read again of it, at its beginning, is read from here.
    """

    def __init__(self, stored: ByteReader) -> None:
        self._file = _HandedFile(stored)
        self._exported = b""
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._make, name="gzip points", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._file.abandon()
        self._thread.join()

    def take(self, block: bytes) -> None:
        """Takes the next bytes."""
        self._file.hand(block)

    def finish(self) -> GzipPoints:
        """The points, when all bytes were taken.

        Raises:
            MalformedError: It is damaged.
        """
        self._file.end()
        self._thread.join()
        if self._error is not None:
            raise MalformedError(
                f"the archive cannot be decompressed: {self._error}"
            ) from self._error
        return GzipPoints.of_file(self._exported)

    def _make(self) -> None:
        from indexed_gzip import IndexedGzipFile

        try:
            with IndexedGzipFile(
                fileobj=self._file, spacing=POINT_SPACING, readbuf_size=_READ_BYTES
            ) as made:
                made.build_full_index()
                exported = io.BytesIO()
                made.export_index(fileobj=exported)
            self._exported = exported.getvalue()
        except Exception as error:  # `finish` raises it
            self._error = error
        finally:
            self._file.stop()


class _AbandonedError(OSError):
    """The archive is read no further."""


class _HandedFile(ReaderFile):
    """Blocks that one thread hands to another, as a file that is read forwards."""

    def __init__(self, stored: ByteReader) -> None:
        super().__init__(stored)
        self._block = b""
        self._start = 0  # of the block
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._is_ended = self._is_stopped = self._is_abandoned = False

    def hand(self, block: bytes) -> None:
        """Hands over a block, unless no more are read."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _WAITING or self._is_stopped)
            if not self._is_stopped:
                self._waiting.append(block)
            self._changed.notify_all()

    def end(self) -> None:
        """Says that all blocks were handed over."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Lets reads fail from now on."""
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Reads no more."""
        with self._changed:
            self._is_stopped = True
            self._waiting.clear()
            self._changed.notify_all()

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; fewer only at the end."""
        assert size >= 0
        if self._at < self._start:
            found = self._reader.read(self._at, size)
            self._at += len(found)
            return found
        parts: list[bytes] = []
        while size:
            part = self._block[self._at - self._start :][:size]
            if part:
                parts.append(part)
                self._at += len(part)
                size -= len(part)
            elif not self._next():
                break
        return b"".join(parts)

    def _next(self) -> bool:
        """Goes on to the next block; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_ended or self._is_abandoned)
            if self._is_abandoned:
                raise _AbandonedError
            if not self._waiting:
                return False
            self._start += len(self._block)
            self._block = self._waiting.popleft()
            self._changed.notify_all()
            return True
