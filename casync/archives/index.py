"""The index of an archive's members: where each lies, by path (docs/FORMAT.md section 5.6).

A member is found by reading the tail and one block, however many there are. An index follows from
an archive: it may be lost or damaged at any time, and is made again then. Nothing in it is believed
before it was compared with the archive (`ArchiveFormat.check`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final, TypeVar

import msgspec
import zstandard

from casync.archives.detect import kind_of_words
from casync.archives.format import ByteReader
from casync.archives.gzip_points import GZIP_WINDOW, GzipPoint, GzipPoints
from casync.archives.index_layout import (
    INDEX_FOOT,
    INDEX_MAGIC,
    INDEX_VERSION,
    BlockPlace,
    LongTail,
    PointPlace,
    member_order,
)
from casync.archives.member import Member
from casync.errors import MalformedError
from casync.ids import Buffer
from casync.limits import (
    MAX_INDEX_BLOCK,
    MAX_INDEX_POINTS,
    MAX_INDEX_TAIL,
    MAX_LENGTH,
    MAX_MEMBERS,
    MAX_REFUSED_NAMES,
)

__all__ = ["MemberIndex"]

_FRAME_BYTES: Final = 64 * 1024
"""By how much a frame of zstd may be longer than what is in it."""

_POINT_BYTES: Final = 48
"""Plain bytes of a point at most, and its share of the head of the array."""

_T = TypeVar("_T")


_ROWS: Final = msgspec.msgpack.Decoder(type=list[msgspec.Raw])
_MEMBER: Final = msgspec.msgpack.Decoder(type=Member)
_POINTS: Final = msgspec.msgpack.Decoder(type=list[PointPlace])
_TAIL: Final = msgspec.msgpack.Decoder(type=LongTail)


class MemberIndex:
    """Reads an index.

    Args:
        data: Its bytes.

    Attributes:
        kind: The kind of the archive.
        length: The bytes of the plain archive.
        count: How many members there are, shadowed ones included.
        last: The highest header of a member; 0 in indexes that do not say it.
        refused: Members that are left out.

    Raises:
        MalformedError: The bytes are no index, or are damaged.
    """

    def __init__(self, data: ByteReader) -> None:
        self._data = data
        foot = data.read(max(data.length - INDEX_FOOT.size, 0), INDEX_FOOT.size)
        if len(foot) < INDEX_FOOT.size or not foot.endswith(INDEX_MAGIC):
            raise _damaged()
        size, _ = INDEX_FOOT.unpack(foot)
        start = data.length - INDEX_FOOT.size - size
        tail = _decoded(_TAIL, self._part(start, size, MAX_INDEX_TAIL))
        kind = kind_of_words(tail.format, tail.layer)
        places = [tail.points, *((block.offset, block.size) for block in tail.blocks)]
        if (
            tail.version != INDEX_VERSION
            or kind is None
            or not 0 <= tail.length <= MAX_LENGTH
            or not 0 <= tail.last <= tail.length
            or not 0 <= tail.members <= MAX_MEMBERS
            or not len(tail.refused.names) <= min(tail.refused.number, MAX_REFUSED_NAMES)
            or not all(0 <= at <= at + size <= start for at, size in places)
        ):
            raise _damaged()
        self.kind = kind
        self.length = tail.length
        self.count = tail.members
        self.last = tail.last
        self.refused = tail.refused
        self._end = start
        self._points_place = tail.points
        self._blocks = tail.blocks
        self._block = lru_cache(maxsize=8)(self._read_block)
        self._points = lru_cache(maxsize=1)(self._read_points)

    def points(self) -> GzipPoints | None:
        """Where the gzip of the archive can be read from.

        None for other archives, and for one that has more points than an index has room for.
        """
        return self._points()

    def find(self, path: bytes) -> Member | None:
        """The member at a path; the last one, if there are several."""
        number = bisect_right(self._blocks, path, key=_first) - 1
        if number < 0:
            return None
        rows = self._block(number)
        after = bisect_right(rows, path, key=lambda row: _member(row).path)
        found = _member(rows[after - 1]) if after else None
        return found if found is not None and found.path == path else None

    def find_before(self, path: bytes, header: int) -> Member | None:
        """The last member at a path whose header comes before one; of a million it reads some."""
        order = path, header
        numbers = self.blocks_of(path)
        at = bisect_left(numbers, order, key=lambda number: _order(self._block(number)[0])) - 1
        if at < 0:
            return None
        rows = self._block(numbers[at])
        found = _member(rows[bisect_left(rows, order, key=_order) - 1])
        return found if found.path == path else None

    def find_from(self, path: bytes, header: int) -> Member | None:
        """The first member at a path whose header is at a place or behind it."""
        order = path, header
        for number in self.blocks_of(path):
            rows = self._block(number)
            at = bisect_left(rows, order, key=_order)
            if at < len(rows):
                found = _member(rows[at])
                return found if found.path == path else None
        return None

    def members(self, prefix: bytes = b"", *, after: bytes = b"") -> Iterator[Member]:
        """The members whose paths begin with a prefix, ordered by path, shadowed ones included.

        Args:
            prefix: The prefix.
            after: Passes over paths up to this one.
        """
        start = max(prefix, after)
        number = bisect_left(self._blocks, start, key=_first) - 1
        for index in range(max(number, 0), len(self._blocks)):
            rows = self._block(index)
            begin = bisect_left(rows, start, key=lambda row: _member(row).path)
            for one in map(_member, rows[begin:]):
                if one.path.startswith(prefix) and (not after or one.path > after):
                    yield one
                elif one.path > start:
                    return

    def first_paths(self) -> list[bytes]:
        """The path of the first member of each block."""
        return [block.first for block in self._blocks]

    def blocks_of(self, path: bytes) -> range:
        """The numbers of the blocks that have a path, if any has."""
        first = bisect_left(self._blocks, path, key=_first) - 1
        return range(max(first, 0), bisect_right(self._blocks, path, key=_first))

    def block(self, number: int) -> list[Member]:
        """The members of a block."""
        return [_member(row) for row in self._block(number)]

    def packed_block(self, number: int) -> bytes:
        """A block as it is written."""
        _, offset, size = self._blocks[number]
        if size > MAX_INDEX_BLOCK + _FRAME_BYTES:
            raise _damaged()
        return self._data.read(offset, size)

    def _read_block(self, number: int) -> list[msgspec.Raw]:
        """The members of a block, still encoded: a search decodes a dozen of a thousand."""
        _, offset, size = self._blocks[number]
        return _decoded(_ROWS, self._part(offset, size, MAX_INDEX_BLOCK))

    def _read_points(self) -> GzipPoints | None:
        offset, size = self._points_place
        if not size:
            return None
        rows = _decoded(_POINTS, self._part(offset, size, MAX_INDEX_POINTS * _POINT_BYTES))
        points = [GzipPoint(*row[:3]) for row in rows]
        if not (
            0 < len(rows) <= MAX_INDEX_POINTS
            and points[0].plain == 0
            and all(before.plain <= after.plain for before, after in pairwise(points))
            and all(0 <= one.stored <= MAX_LENGTH and 0 <= one.bits < 8 for one in points)
            and points[-1].plain <= self.length
            and all(0 <= row.offset <= row.offset + row.size <= self._end for row in rows)
        ):
            raise _damaged()

        @lru_cache(maxsize=4)
        def window(number: int) -> bytes:
            *_, offset, size = rows[number]
            found = self._part(offset, size, GZIP_WINDOW) if size else b""
            if len(found) not in (0, GZIP_WINDOW):
                raise _damaged()
            return found

        return GzipPoints(points, window)

    def _part(self, offset: int, size: int, most: int) -> bytes:
        """A part of the index, which has at most `most` plain bytes."""
        if offset < 0 or size > most + _FRAME_BYTES:
            raise _damaged()
        packed = self._data.read(offset, size)
        try:
            if not 0 <= zstandard.frame_content_size(packed) <= most:
                raise _damaged()
            return zstandard.ZstdDecompressor().decompress(packed)
        except zstandard.ZstdError as error:
            raise _damaged() from error


def _member(row: msgspec.Raw) -> Member:
    member = _decoded(_MEMBER, row)
    numbers = (member.header, member.offset, member.length, member.stored)
    if min(numbers) < 0 or max(numbers) > MAX_LENGTH:
        raise _damaged()
    return member


def _order(row: msgspec.Raw) -> tuple[bytes, int]:
    return member_order(_member(row))


def _first(block: BlockPlace) -> bytes:
    return block.first


def _decoded(decoder: msgspec.msgpack.Decoder[_T], plain: Buffer) -> _T:
    try:
        return decoder.decode(plain)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _damaged() from error


def _damaged() -> MalformedError:
    return MalformedError("the index of the archive is damaged")
