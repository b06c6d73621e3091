"""Writes indexes of members: of a whole archive, and of one that has grown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import pairwise
from typing import Final

import msgspec
import zstandard
from msgspec.structs import replace

from casync.archives.detect import ArchiveKind
from casync.archives.gzip_points import GzipPoints
from casync.archives.index import MemberIndex
from casync.archives.index_layout import (
    INDEX_FOOT,
    INDEX_MAGIC,
    INDEX_VERSION,
    NONE_REFUSED,
    BlockPlace,
    LongTail,
    PointPlace,
    RefusedNames,
    Tail,
    member_order,
)
from casync.archives.member import Member
from casync.errors import MalformedError
from casync.limits import MAX_INDEX_BLOCK, MAX_INDEX_POINTS, MAX_INDEX_TAIL, MAX_MEMBERS

__all__ = ["encode_index", "extended_index"]

_BLOCK_BYTES: Final = 64 * 1024
_ROW_BYTES: Final = 40
"""Approximate bytes of a member, not counting its names."""

_PLACE_BYTES: Final = 32
"""Bytes of a block's place in the tail at most, not counting its path."""

_LEVEL: Final = 3
_ENCODER: Final = msgspec.msgpack.Encoder()


def encode_index(
    members: Iterable[Member],
    kind: ArchiveKind,
    length: int,
    points: GzipPoints | None,
    refused: RefusedNames = NONE_REFUSED,
) -> Iterator[bytes]:
    """The bytes of an index, in blocks.

    Args:
        members: The members in the order of `member_order`, each of which fits.
        kind: The kind of the archive.
        length: The bytes of the plain archive.
        points: Where its gzip can be read from. More than a reader accepts are left out.
        refused: Members that are left out.

    Raises:
        MalformedError: There are more members than an index can have, or too many long names.
    """
    blocks = _Blocks()
    yield from blocks.write(members)
    yield from blocks.end(kind, length, points, refused)


def extended_index(
    old: MemberIndex,
    added: Iterable[Member],
    *,
    length: int,
    points: GzipPoints | None,
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
    yield from blocks.end(old.kind, length, points, old.refused)


class _Blocks:
    """Writes an index block by block.

    Args:
        count: Members in blocks that are taken as they are.
        last: The highest header of these.
    """

    def __init__(self, count: int = 0, last: int = 0) -> None:
        self._pack = zstandard.ZstdCompressor(_LEVEL, write_checksum=True).compress
        self._blocks: list[BlockPlace] = []
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
        self._blocks.append(BlockPlace(first, self._at, len(data)))
        self._at += len(data)
        return data

    def end(
        self, kind: ArchiveKind, length: int, points: GzipPoints | None, refused: RefusedNames
    ) -> Iterator[bytes]:
        """What follows the blocks."""
        table = b""
        thinned = points.thinned() if points is not None else ()
        if 0 < len(thinned) <= MAX_INDEX_POINTS:
            rows: list[PointPlace] = []
            for point, window in thinned:
                packed = self._pack(window) if window else b""
                rows.append(PointPlace(*point, self._at, len(packed)))
                self._at += len(packed)
                yield packed
            table = self._pack(_ENCODER.encode(rows))
            yield table
        place = self._at, len(table)
        words = kind.format, kind.layer, length, self.count
        fields = INDEX_VERSION, *words, place, self._blocks, self._last
        # An archive from which nothing is left out has the same index as ever.
        last = LongTail(*fields, refused) if refused.number else Tail(*fields)
        tail = self._pack(_ENCODER.encode(last))
        yield tail
        yield INDEX_FOOT.pack(len(tail), INDEX_MAGIC)


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
