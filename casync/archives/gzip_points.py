"""The points from which gzip can be read, when more gzip follows.

The layout is that of indexed_gzip: a head, the points, and a window of plain bytes before each
point that needs one (https://github.com/pauldmccarthy/indexed_gzip, zran.c).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from casync.errors import MalformedError

__all__ = ["joined_points"]

_HEAD: Final = struct.Struct("<5sBBQQIII")
_POINT: Final = struct.Struct("<QQBB")
_MAGIC: Final = b"GZIDX"


class _Head(NamedTuple):
    magic: bytes
    version: int
    flags: int
    stored: int
    plain: int
    spacing: int
    window: int
    points: int


class _Point(NamedTuple):
    stored: int
    plain: int
    bits: int
    has_window: int


def joined_points(old: bytes, later: bytes, stored: int, plain: int) -> bytes:
    """The points of gzip whose end other gzip has replaced.

    Args:
        old: The points of the whole before.
        later: Those of what follows by itself, which begins with a gzip member.
        stored: Where that begins.
        plain: Its offset in the plain bytes.

    Raises:
        MalformedError: These are no points.
    """
    head, points = _parsed(old)
    later_head, later_points = _parsed(later)
    if (head.version, head.window) != (later_head.version, later_head.window):
        raise MalformedError("the points of the archive have another layout")
    # The last point is the end of the file, from which nothing could be read.
    every = [one for one in points if one[0].stored < stored]
    for point, window in later_points:
        moved = point._replace(stored=point.stored + stored, plain=point.plain + plain)
        every.append((moved, window))
    joined = head._replace(
        stored=stored + later_head.stored, plain=plain + later_head.plain, points=len(every)
    )
    rows = b"".join(_POINT.pack(*point) for point, _ in every)
    return _HEAD.pack(*joined) + rows + b"".join(window for _, window in every)


def _parsed(data: bytes) -> tuple[_Head, list[tuple[_Point, bytes]]]:
    try:
        head = _Head(*_HEAD.unpack_from(data))
        if head.magic != _MAGIC:
            raise MalformedError("these are no points of gzip")
        at = _HEAD.size + head.points * _POINT.size
        points = [_Point(*row) for row in _POINT.iter_unpack(data[_HEAD.size : at])]
    except struct.error as error:
        raise MalformedError("the points of the archive are damaged") from error
    return head, [*zip(points, _windows(data, at, points, head.window), strict=True)]


def _windows(data: bytes, at: int, points: list[_Point], size: int) -> Iterator[bytes]:
    for point in points:
        length = size if point.has_window else 0
        yield data[at : at + length]
        at += length
