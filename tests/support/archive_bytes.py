"""Archives in memory."""

from __future__ import annotations

from collections.abc import Iterator


class BytesReader:
    """Bytes that can be read anywhere, and how many were."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.was_read = 0

    @property
    def length(self) -> int:
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        found = self._data[offset : offset + length]
        self.was_read += len(found)
        return found

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, 1000):
            yield self.read(at, min(1000, end - at))
