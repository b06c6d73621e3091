"""The points from which gzip can be read.

Inflating goes on at a point when its window is known: the plain bytes before it. indexed_gzip finds
points, and inflates from them. It takes and gives both as a file, which has a head, the points, and
their windows (https://github.com/pauldmccarthy/indexed_gzip, zran.c).
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

__all__ = ["GZIP_WINDOW", "POINT_SPACING", "GzipPoint", "GzipPoints", "GzipStart"]

POINT_SPACING: Final = 4 * 1024 * 1024
"""Plain bytes from a point to the next one."""

GZIP_WINDOW: Final = 32 * 1024
"""Plain bytes of a window."""

_HEAD: Final = struct.Struct("<5sBBQQIII")
"""Of the file: magic, version, flags, stored and plain bytes, spacing, window, points."""

_POINT: Final = struct.Struct("<QQBB")
"""As `GzipPoint`, and whether it has a window."""

_MAGIC: Final = b"GZIDX"
_VERSION: Final = 1


class GzipPoint(NamedTuple):
    """A point.

    Attributes:
        stored: The offset in the gzip archive at which raw deflate goes on.
        plain: The offset of the plain byte that comes out first.
        bits: How many of the upper bits of the byte before `stored` belong to it.
    """

    stored: int
    plain: int
    bits: int


class GzipStart(NamedTuple):
    """A point and its window, from which gzip can be read.

    Attributes:
        point: The point.
        window: The plain bytes before it; empty where a gzip member begins.
    """

    point: GzipPoint
    window: bytes

    def file(self, stored: int, plain: int) -> bytes:
        """This start alone, as a file of indexed_gzip.

        Args:
            stored: The bytes of the gzip archive.
            plain: Its plain bytes.
        """
        head = _HEAD.pack(_MAGIC, _VERSION, 0, stored, plain, POINT_SPACING, GZIP_WINDOW, 2)
        # The last point says where the archive ends.
        rows = _POINT.pack(*self.point, bool(self.window)) + _POINT.pack(stored, plain, 0, 0)
        return head + rows + self.window


class GzipPoints:
    """The points of a gzip archive.

    Args:
        points: The points in order, of which the first is at the first plain byte.
        window: Gives the window of the point with a number.
    """

    def __init__(self, points: Sequence[GzipPoint], window: Callable[[int], bytes]) -> None:
        self._points = points
        self._window = window

    @staticmethod
    def of_file(data: bytes) -> GzipPoints:
        """The points in a file of indexed_gzip that has been made here."""
        *_, count = _HEAD.unpack_from(data)
        end = _HEAD.size + count * _POINT.size
        *rows, _ = _POINT.iter_unpack(data[_HEAD.size : end])  # the last one is the archive's end
        windows: list[slice] = []
        for *_, has_window in rows:
            windows.append(slice(end, end + GZIP_WINDOW * has_window))
            end = windows[-1].stop
        return GzipPoints(
            [GzipPoint(*point) for *point, _ in rows], lambda number: data[windows[number]]
        )

    def __len__(self) -> int:
        return len(self._points)

    def __iter__(self) -> Iterator[GzipStart]:
        return map(self._start, range(len(self._points)))

    def before(self, plain: int) -> GzipStart:
        """Where reading begins for a plain byte: at the point before it."""
        return self._start(bisect_right(self._points, plain, key=_plain) - 1)

    def stored_range(self, start: int, end: int) -> tuple[int, int | None]:
        """Which bytes of the gzip archive a range of plain bytes needs, up to the next point.

        Args:
            start: The first plain byte.
            end: The plain byte after the last.

        Returns:
            The first of these bytes, and the one after the last; None for the end of the archive.
        """
        first = self._points[bisect_right(self._points, start, key=_plain) - 1]
        last = bisect_left(self._points, end, key=_plain)
        behind = self._points[last].stored if last < len(self._points) else None
        return first.stored - (first.bits > 0), behind

    def thinned(self) -> GzipPoints:
        """Those that are `POINT_SPACING` apart or more.

        Each gzip member has a point at its beginning, and some archives have one for each file.
        """
        kept: list[int] = []
        for number, point in enumerate(self._points):
            if not kept or point.plain - self._points[kept[-1]].plain >= POINT_SPACING:
                kept.append(number)
        return GzipPoints(
            [self._points[number] for number in kept], lambda number: self._window(kept[number])
        )

    def joined(self, later: GzipPoints, stored: int, plain: int) -> GzipPoints:
        """The points of an archive whose end other gzip has replaced.

        Args:
            later: Those of the other gzip by itself.
            stored: Where that begins.
            plain: The offset of its plain bytes.
        """
        count = bisect_left(self._points, stored, key=_stored)
        moved = [GzipPoint(at + stored, out + plain, bits) for at, out, bits in later._points]
        return GzipPoints(
            [*self._points[:count], *moved],
            lambda number: (
                self._window(number) if number < count else later._window(number - count)
            ),
        )

    def _start(self, number: int) -> GzipStart:
        return GzipStart(self._points[number], self._window(number))


def _plain(point: GzipPoint) -> int:
    return point.plain


def _stored(point: GzipPoint) -> int:
    return point.stored
