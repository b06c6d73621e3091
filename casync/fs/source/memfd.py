"""A stream in memory, to be read by position by several processes while it comes.

It lies in a memory file at its own offsets; what nobody will read again is given back, so it
takes no more memory than what is being cut. Must not know what becomes of the bytes.
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
        label: What errors call it.
        start: The offset of what comes first.
        head: What comes first.
        blocks: What comes then.
        ahead: Bytes beyond a span that can be read, unless the stream ends before.

    Raises:
        OSError: There are no memory files here.
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
        """The stream in spans, as soon as they can be read. See `Positioned`."""
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
        """Bytes at `offset`; fewer where the stream has not come farther."""
        return read_range(self.descriptor, offset, min(size, self._filled - offset))

    def forget(self, offset: int) -> None:
        """Gives memory back."""
        punch(self.descriptor, self._forgotten, offset - self._forgotten)
        self._forgotten = offset

    def compare(self) -> None:
        """Does nothing: bytes in memory stay as they came."""

    def _split(self, start: int, end: int, size: int) -> Iterator[Span]:
        for begin in range(start, end, size):
            yield Span(begin, min(begin + size, end), self._filled)

    def _put(self, block: bytes | Hole) -> bool:
        """Lays a block behind what is there; says whether it is nothing but zeros."""
        # Zeros take no memory, and need not be cut.
        if isinstance(block, Hole) or block == _ZEROS[: len(block)]:
            self._filled += block.length if isinstance(block, Hole) else len(block)
            os.ftruncate(self.descriptor, self._filled)
            return True
        write_range(self.descriptor, self._filled, [block])
        self._filled += len(block)
        return False
