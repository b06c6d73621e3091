"""A stream buffered in a memfd, so that several processes read it by position as it arrives.

Bytes keep their offsets in the stream. Bytes that are no longer needed are freed, so the buffer
takes no more memory than what is being cut.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, Self

from casync.fs.extents import punch, read_range, write_range
from casync.fs.source.base import BLOCK_BYTES, Hole, Span

__all__ = ["MemfdBuffer"]

_ZEROS: Final = bytes(BLOCK_BYTES)


class MemfdBuffer:
    """The rest of a stream, as a `Positioned`. Use in a with block.

    Args:
        label: Its name in messages.
        start: The offset of `head` in the stream.
        head: Bytes that were read already.
        blocks: The rest of the stream.
        ahead: Bytes that are readable beyond a span, unless the stream ends earlier.

    Raises:
        OSError: memfd is not available.
    """

    def __init__(
        self, label: str, start: int, head: bytes, blocks: Iterator[bytes | Hole], ahead: int
    ) -> None:
        self.label = label
        self.length: int | None = None
        self.descriptor = os.memfd_create("casync", os.MFD_CLOEXEC)
        self._blocks = blocks
        self._ahead = ahead
        self._start = start
        self._forgotten = start
        self._filled = start
        self._put(head)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def spans(self, size: int) -> Iterator[Span | Hole]:
        """The stream in spans, each as soon as it is readable. See `Positioned`."""
        start = self._start
        for block in self._blocks:
            end = self._filled
            if not self._put(block):
                while self._filled - start >= size + self._ahead:
                    yield Span(start, start + size, self._filled)
                    start += size
            elif self._filled - end >= self._ahead:
                yield from self._split(start, end, size)
                yield Hole(self._filled - end)
                start = self._filled
        self.length = self._filled
        yield from self._split(start, self._filled, size)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes at `offset`; fewer where the stream has not arrived yet."""
        return read_range(self.descriptor, offset, min(size, self._filled - offset))

    def forget(self, offset: int) -> None:
        """Frees the memory before `offset`."""
        punch(self.descriptor, self._forgotten, offset - self._forgotten)
        self._forgotten = offset

    def compare(self) -> None:
        """Does nothing: buffered bytes do not change."""

    def _split(self, start: int, end: int, size: int) -> Iterator[Span]:
        for begin in range(start, end, size):
            yield Span(begin, min(begin + size, end), self._filled)

    def _put(self, block: bytes | Hole) -> bool:
        """Appends a block; returns whether it is all zeros."""
        # Zeros take no memory and need not be cut.
        if isinstance(block, Hole) or block == _ZEROS[: len(block)]:
            self._filled += block.length if isinstance(block, Hole) else len(block)
            os.ftruncate(self.descriptor, self._filled)
            return True
        write_range(self.descriptor, self._filled, [block])
        self._filled += len(block)
        return False
