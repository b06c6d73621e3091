"""The bytes of an answer: read into memory of the reader, or as blocks.

Large objects are read into a buffer that is cut where it lies: each copy of their bytes would cost
as much as hashing them does a third of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from casync.ids import Buffer

__all__ = ["AnswerBody", "BlockBody", "blocks_of"]


class AnswerBody(Protocol):
    """A body, which is read once."""

    def read_into(self, view: memoryview) -> int:
        """Reads the next bytes into `view`, which has room for one at least.

        Returns:
            How many came; 0 at the end.

        Raises:
            CasyncError: As `ObjectAnswer.blocks`.
        """
        ...


class BlockBody:
    """A body of a source that has blocks.

    Args:
        blocks: The blocks.
    """

    def __init__(self, blocks: Iterator[Buffer]) -> None:
        self._blocks = blocks
        self._left = memoryview(b"")

    def read_into(self, view: memoryview) -> int:
        """As `AnswerBody.read_into`."""
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = memoryview(block)
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def blocks_of(body: AnswerBody, size: int) -> Iterator[bytes]:
    """A body in blocks of at most `size` bytes."""
    buffer = memoryview(bytearray(size))
    while count := body.read_into(buffer):
        yield bytes(buffer[:count])
