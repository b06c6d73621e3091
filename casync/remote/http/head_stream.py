"""Connections whose reads end where a head does, so that bodies can be read past h11."""

from __future__ import annotations

import re
from typing import Final

from casync.remote.http.connection import WatchedStream

__all__ = ["HeadStream"]

_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
"""The end of a head, as h11 finds it."""


class HeadStream(WatchedStream):
    """A `WatchedStream` from which no read returns the end of a head and what follows it."""

    _unread = b""
    _line_end = b""  # what may be the beginning of the blank line after the head

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """As `WatchedStream.read`."""
        data, self._unread = self._unread or super().read(max_bytes, timeout), b""
        if self.in_head:
            end = self._end_of_head(data)
            data, self._unread = data[:end], data[end:]
        return data

    def unread(self, data: bytes) -> None:
        """Gives bytes back: the next read returns them."""
        self._unread = data + self._unread

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As `WatchedStream.write`."""
        self._line_end = b""
        super().write(buffer, timeout)

    def _end_of_head(self, data: bytes) -> int:
        """Where a head ends in `data`; its length if it goes on."""
        seen = self._line_end + data
        match = _BLANK_LINE.search(seen)
        end = len(data) if match is None else match.end() - len(self._line_end)
        self._line_end = seen[-2:] if match is None else b""
        return end
