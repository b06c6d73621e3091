"""An archive that is read once, forwards: from a pipe, a web server, or a decompressor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from casync.errors import MalformedError
from casync.limits import MAX_ARCHIVE_HEADER, MIB

__all__ = ["ForwardFile"]

_BLOCK_BYTES: Final = MIB


class ForwardFile:
    """Pieces of bytes as one file, for headers and for bytes of members.

    Args:
        pieces: The bytes in order, in pieces of bounded size.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._used = 0  # bytes of the piece
        self._at = 0

    def tell(self) -> int:
        """The position."""
        return self._at

    def seek(self, offset: int, /) -> None:
        """Moves forwards; up to the end if that comes before."""
        assert offset >= self._at, "a pipe does not go back"
        for _ in self.blocks(offset - self._at):
            pass

    def peek(self, size: int, /) -> bytes:
        """The next bytes, without moving; fewer only at the end."""
        have = len(self._piece) - self._used
        if have < size:
            parts = [self._piece[self._used :]]
            while have < size and (more := next(self._pieces, None)):
                parts.append(more)
                have += len(more)
            self._piece, self._used = b"".join(parts), 0
        return self._piece[self._used : self._used + size]

    def read(self, size: int, /) -> bytes:
        """The next bytes; fewer only at the end.

        Raises:
            MalformedError: No header has that size.
        """
        if not 0 <= size <= MAX_ARCHIVE_HEADER:
            raise MalformedError(f"the archive has a header of {size} bytes at {self._at}")
        found = self.peek(size)
        self._used += len(found)
        self._at += len(found)
        return found

    def blocks(self, length: int) -> Iterator[bytes]:
        """The next bytes in blocks of bounded size; fewer only at the end."""
        while length > 0:
            if self._used == len(self._piece):
                self._piece, self._used = next(self._pieces, b""), 0
                if not self._piece:
                    return
            end = min(self._used + min(length, _BLOCK_BYTES), len(self._piece))
            block = self._piece[self._used : end]
            self._used = end
            self._at += len(block)
            length -= len(block)
            yield block

    def rest(self) -> Iterator[bytes]:
        """All bytes that follow, in pieces."""
        while self._used < len(self._piece) or self.peek(1):
            piece, self._piece = self._piece[self._used :], b""
            self._used = 0
            self._at += len(piece)
            yield piece
