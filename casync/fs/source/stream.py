"""A stream as a source: usually a pipe, readable once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Self

from casync.errors import UsageError
from casync.fs.source.base import BLOCK_BYTES, FileStamp, Hole, Positioned, reading

__all__ = ["StreamSource"]


class StreamSource:
    """A pipe or another byte stream. The caller owns and closes it.

    Args:
        stream: Blocking; buffered or not.
        label: Its name in messages.
    """

    repeatable = False
    length = None

    def __init__(self, stream: BinaryIO, label: str = "standard input") -> None:
        self.label = label
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Does nothing: the caller closes the stream."""

    def stamp(self) -> FileStamp | None:
        """None: a stream cannot be recognised later."""
        return None

    def positioned(self, least: int) -> Positioned | None:
        """None: the length of a stream is unknown."""
        return None

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes | Hole]:
        """Reads until the stream ends, in full blocks. See `Source`."""
        while block := self._block(size):
            yield block

    def _block(self, size: int) -> bytes:
        parts: list[bytes] = []
        have = 0
        with reading(self.label):
            while have < size:
                part = self._stream.read(size - have)
                if part is None:
                    raise UsageError(f"{self.label} is non-blocking (O_NONBLOCK)")
                if not part:
                    break
                parts.append(part)
                have += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
