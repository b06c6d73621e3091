"""The data of bodies that are sent in HTTP's chunked coding (RFC 9112 section 7.1).

h11 copies each byte of a body three times, which costs as much as all else that is done to it. It
gets the rest: the last chunk with its trailers, and whatever is not plain data, which it judges.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Protocol

__all__ = ["ByteStream", "ChunkedData", "chunked_data"]

_HEADER: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_END: Final = b"\r\n"
_LONGEST: Final = len(_END) + 8 + len(_END)
"""Bytes from the end of a chunk to the beginning of the next one's data."""

_REFUSED: Final = b"\r\n"
"""What no body in this coding begins with."""


class ByteStream(Protocol):
    """A connection to read from."""

    def read(self, max_bytes: int) -> bytes:
        """Some bytes; none at the end."""
        ...

    def unread(self, data: bytes) -> None:
        """Gives bytes back: the next read returns them."""
        ...


def chunked_data(stream: ByteStream) -> Iterator[memoryview]:
    """The data of a body as it arrives. What follows is left in the stream, as a body of its own.

    Raises:
        CasyncError: What `stream` raises.
    """
    body = ChunkedData()
    while body.rest is None and (data := stream.read(0)):
        yield from body.feed(data)
    stream.unread(body.rest or b"")


class ChunkedData:
    """Finds the data in a body that is cut anywhere.

    Attributes:
        rest: The bytes from the first line on that does not begin a chunk, or what h11 refuses if
            a chunk is longer than announced; None before it.
    """

    def __init__(self) -> None:
        self._left = 0  # bytes of the open chunk
        self._line = b""  # what is read of the line between two chunks
        self._before = b""  # the end of the chunk before it
        self.rest: bytes | None = None

    def feed(self, data: bytes) -> list[memoryview]:
        """The data in the next bytes."""
        view = memoryview(data)
        found: list[memoryview] = []
        at = 0
        while at < len(data) and self.rest is None:
            if self._left:
                part = view[at : at + self._left]
                found.append(part)
                self._left -= len(part)
                at += len(part)
            else:
                at = self._begin(data, at)
        return found

    def _begin(self, data: bytes, at: int) -> int:
        """Reads the line between two chunks; returns where the next one begins, or the end."""
        line = self._line + data[at : at + _LONGEST - len(self._line)]
        begin = len(self._before)
        if line[:begin] != self._before[: len(line)]:  # no chunk ends here
            self.rest = _REFUSED
            return len(data)
        match = _HEADER.match(line, begin)
        if match is not None and int(match[1], 16):
            at += match.end() - len(self._line)
            self._left, self._line, self._before = int(match[1], 16), b"", _END
            return at
        if match is None and len(line) < _LONGEST and b"\n" not in line[begin:]:
            self._line = line
            return len(data)
        self.rest = line[begin:] + data[at + len(line) - len(self._line) :]
        return len(data)
