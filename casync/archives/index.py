"""The index of an archive's members: where each lies, by path (docs/FORMAT.md section 5.6).

A member is found by reading the tail and one block, however many there are. An index follows from
an archive: it may be lost or damaged at any time, and is made again then. Nothing in it is believed
before it was compared with the archive (`ArchiveFormat.check`).
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from heapq import merge
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

import msgspec
import zstandard
from msgspec.structs import replace

from casync.archives.detect import ArchiveKind, kind_of_words
from casync.archives.format import ByteReader
from casync.archives.member import Member
from casync.errors import MalformedError
from casync.ids import Buffer
from casync.limits import (
    MAX_INDEX_BLOCK,
    MAX_INDEX_POINTS,
    MAX_INDEX_TAIL,
    MAX_LENGTH,
    MAX_MEMBERS,
    MAX_TREE_PATH,
)

__all__ = ["MemberIndex", "encode_index", "extended_index", "fits_index", "member_order"]

_VERSION: Final = 1
_MAGIC: Final = b"casyncm1"
_FOOT: Final = struct.Struct("<Q8s")
_BLOCK_BYTES: Final = 64 * 1024
_ROW_BYTES: Final = 40
"""Approximate bytes of a member, not counting its names."""

_PLACE_BYTES: Final = 32
"""Bytes of a block's place in the tail at most, not counting its path."""

_FRAME_BYTES: Final = 64 * 1024
"""By how much a frame of zstd may be longer than what is in it."""

_LEVEL: Final = 3
_T = TypeVar("_T")


class _Block(NamedTuple):
    """The path of the first member of a block, and where the block lies."""

    first: bytes
    offset: int
    size: int


class _Tail(msgspec.Struct, frozen=True, array_like=True):
    version: int
    format: str
    layer: str
    length: int  # of the plain archive
    members: int
    points: tuple[int, int]  # offset and size
    blocks: list[_Block]
    last: int = 0  # the highest header of a member


_ENCODER: Final = msgspec.msgpack.Encoder()
_ROWS: Final = msgspec.msgpack.Decoder(type=list[msgspec.Raw])
_MEMBER: Final = msgspec.msgpack.Decoder(type=Member)
_TAIL: Final = msgspec.msgpack.Decoder(type=_Tail)


def member_order(member: Member) -> tuple[bytes, int]:
    """The key by which members of an index are sorted."""
    return member.path, member.header


def fits_index(member: Member) -> bool:
    """Whether an index has room for a member: its names are no longer than paths of trees."""
    return max(len(member.path), len(member.raw), len(member.target)) <= MAX_TREE_PATH


def encode_index(
    members: Iterable[Member], kind: ArchiveKind, length: int, points: bytes
) -> Iterator[bytes]:
    """The bytes of an index, in blocks.

    Args:
        members: The members in the order of `member_order`, each of which fits.
        kind: The kind of the archive.
        length: The bytes of the plain archive.
        points: Where its layer can be read from. More than a reader accepts are left out.

    Raises:
        MalformedError: There are more members than an index can have, or too many long names.
    """
    blocks = _Blocks()
    yield from blocks.write(members)
    yield from blocks.end(kind, length, points)


def extended_index(
    old: MemberIndex,
    added: Iterable[Member],
    *,
    length: int,
    points: bytes,
    without: Iterable[bytes] = (),
) -> Iterator[bytes]:
    """The index of an archive that has grown. Blocks without a change are taken as they are.

    Args:
        old: The index before.
        added: The new members, as `encode_index` takes them. They lie behind the others, which lie
            where they lay.
        length: As of `encode_index`.
        points: As of `encode_index`.
        without: Paths whose old members are gone.

    Raises:
        NoObjectError, IntegrityError: The old index is damaged.
        MalformedError: As `encode_index`.
    """
    gone = set(without)
    touched = {number for path in gone for number in old.blocks_of(path)}
    blocks = _Blocks(old.count, old.last)
    rows = _Ahead(added)
    firsts: list[bytes | None] = [*old.first_paths(), None]
    for number, (first, following) in enumerate(pairwise(firsts)):
        if rows.is_before(following) or number in touched:
            here = old.block(number)
            blocks.count -= len(here)
            kept = (one for one in here if one.path not in gone)
            yield from blocks.write(merge(kept, rows.until(following), key=member_order))
        elif first is not None:
            yield blocks.take(first, old.packed_block(number))
    yield from blocks.write(rows.until(None))
    yield from blocks.end(old.kind, length, points)


class _Blocks:
    """Writes an index block by block.

    Args:
        count: Members in blocks that are taken as they are.
        last: The highest header of these.
    """

    def __init__(self, count: int = 0, last: int = 0) -> None:
        self._pack = zstandard.ZstdCompressor(_LEVEL, write_checksum=True).compress
        self._blocks: list[_Block] = []
        self._at = self._tail_bytes = 0
        self._last = last
        self.count = count

    def write(self, members: Iterable[Member]) -> Iterator[bytes]:
        """Blocks of the next members. Raises as `encode_index`."""
        for block in _in_blocks(members):
            self.count += len(block)
            if self.count > MAX_MEMBERS:
                raise MalformedError(f"the archive has more than {MAX_MEMBERS} members")
            self._last = max(self._last, max(one.header for one in block))
            yield self.take(block[0].path, self._pack(_ENCODER.encode(block)))

    def take(self, first: bytes, data: bytes) -> bytes:
        """A block as it is written, with the first path in it. Raises as `encode_index`."""
        self._tail_bytes += len(first) + _PLACE_BYTES
        if self._tail_bytes > MAX_INDEX_TAIL - MAX_INDEX_BLOCK:
            raise MalformedError("the archive has too many members with long names")
        self._blocks.append(_Block(first, self._at, len(data)))
        self._at += len(data)
        return data

    def end(self, kind: ArchiveKind, length: int, points: bytes) -> Iterator[bytes]:
        """What follows the blocks."""
        packed = self._pack(points) if 0 < len(points) <= MAX_INDEX_POINTS else b""
        yield packed
        place = self._at, len(packed)
        words = kind.format, kind.layer, length, self.count
        tail = self._pack(_ENCODER.encode(_Tail(_VERSION, *words, place, self._blocks, self._last)))
        yield tail
        yield _FOOT.pack(len(tail), _MAGIC)


class _Ahead:
    """Members in order, of which the next one can be seen."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._members = iter(members)
        self._next = next(self._members, None)

    def is_before(self, path: bytes | None) -> bool:
        """Whether the next member comes before a path; None is behind all."""
        return self._next is not None and (path is None or self._next.path < path)

    def until(self, path: bytes | None) -> Iterator[Member]:
        """The next members, up to a path."""
        while self._next is not None and self.is_before(path):
            yield self._next
            self._next = next(self._members, None)


def _in_blocks(members: Iterable[Member]) -> Iterator[list[Member]]:
    block: list[Member] = []
    size = 0
    for member in _with_shadows(members):
        block.append(member)
        size += _ROW_BYTES + len(member.path) + len(member.raw) + len(member.target)
        if size >= _BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _with_shadows(members: Iterable[Member]) -> Iterator[Member]:
    """Marks members that are followed by another one of the same path."""
    before: Member | None = None
    for member in members:
        if before is not None:
            yield replace(before, shadowed=True) if before.path == member.path else before
        before = member
    if before is not None:
        yield before


class MemberIndex:
    """Reads an index.

    Args:
        data: Its bytes.

    Attributes:
        kind: The kind of the archive.
        length: The bytes of the plain archive.
        count: How many members there are, shadowed ones included.
        last: The highest header of a member; 0 in indexes that do not say it.

    Raises:
        MalformedError: The bytes are no index, or are damaged.
    """

    def __init__(self, data: ByteReader) -> None:
        self._data = data
        foot = data.read(max(data.length - _FOOT.size, 0), _FOOT.size)
        if len(foot) < _FOOT.size or not foot.endswith(_MAGIC):
            raise _damaged()
        size, _ = _FOOT.unpack(foot)
        start = data.length - _FOOT.size - size
        tail = _decoded(_TAIL, self._part(start, size, MAX_INDEX_TAIL))
        kind = kind_of_words(tail.format, tail.layer)
        places = [tail.points, *((block.offset, block.size) for block in tail.blocks)]
        if (
            tail.version != _VERSION
            or kind is None
            or not 0 <= tail.length <= MAX_LENGTH
            or not 0 <= tail.last <= tail.length
            or not 0 <= tail.members <= MAX_MEMBERS
            or not all(0 <= at <= at + size <= start for at, size in places)
        ):
            raise _damaged()
        self.kind = kind
        self.length = tail.length
        self.count = tail.members
        self.last = tail.last
        self._points = tail.points
        self._blocks = tail.blocks
        self._block = lru_cache(maxsize=8)(self._read_block)

    def points(self) -> bytes:
        """Where the layer of the archive can be read from."""
        offset, size = self._points
        return self._part(offset, size, MAX_INDEX_POINTS) if size else b""

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


def _first(block: _Block) -> bytes:
    return block.first


def _decoded(decoder: msgspec.msgpack.Decoder[_T], plain: Buffer) -> _T:
    try:
        return decoder.decode(plain)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _damaged() from error


def _damaged() -> MalformedError:
    return MalformedError("the index of the archive is damaged")
