"""The index of an archive's members: where each lies, by path.

::

    blocks of members by (path, header), about 64 KiB each | points of the layer | tail | foot

A block is a MessagePack array of members, the tail one of what `_Tail` says, and both are frames of
zstd with checksums. The foot is the length of the tail and a magic. A member is found by reading
the tail and one block, however many there are. An index follows from an archive: it may be lost or
damaged at any time, and is made again then.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, TypeVar, cast

import msgspec
import zstandard
from msgspec.structs import replace

from casync.archives.detect import ArchiveKind
from casync.archives.format import ByteReader
from casync.archives.layers import LayerName
from casync.archives.member import Member
from casync.errors import MalformedError
from casync.limits import MAX_INDEX_BLOCK

__all__ = ["MemberIndex", "encode_index", "member_order"]

_VERSION: Final = 1
_MAGIC: Final = b"casyncm1"
_FOOT: Final = struct.Struct("<Q8s")
_BLOCK_BYTES: Final = 64 * 1024
_ROW_BYTES: Final = 40
"""Approximate bytes of a member, not counting its names."""

_LEVEL: Final = 3
_T = TypeVar("_T")


class _Tail(msgspec.Struct, frozen=True, array_like=True):
    version: int
    format: str
    layer: str
    length: int  # of the plain archive
    members: int
    points: tuple[int, int]  # offset and size
    blocks: list[tuple[bytes, int, int]]  # first path, offset, size


_ENCODER: Final = msgspec.msgpack.Encoder()
_MEMBERS: Final = msgspec.msgpack.Decoder(type=list[Member])
_TAIL: Final = msgspec.msgpack.Decoder(type=_Tail)


def member_order(member: Member) -> tuple[bytes, int]:
    """The key by which members of an index are sorted."""
    return member.path, member.header


def encode_index(
    members: Iterable[Member], kind: ArchiveKind, length: int, points: bytes
) -> Iterator[bytes]:
    """The bytes of an index, in blocks.

    Args:
        members: The members in the order of `member_order`.
        kind: The kind of the archive.
        length: The bytes of the plain archive.
        points: Where its layer can be read from.
    """
    pack = zstandard.ZstdCompressor(_LEVEL, write_checksum=True).compress
    blocks: list[tuple[bytes, int, int]] = []
    at = count = size = 0
    waiting: list[Member] = []
    for member in _with_shadows(members):
        count += 1
        if size >= _BLOCK_BYTES and member.path != waiting[-1].path:
            data = pack(_ENCODER.encode(waiting))
            blocks.append((waiting[0].path, at, len(data)))
            yield data
            at, size, waiting = at + len(data), 0, []
        waiting.append(member)
        size += _ROW_BYTES + len(member.path) + len(member.raw) + len(member.target)
    if waiting:
        data = pack(_ENCODER.encode(waiting))
        blocks.append((waiting[0].path, at, len(data)))
        yield data
        at += len(data)
    packed = pack(points) if points else b""
    yield packed
    place = at, len(packed)
    tail = pack(
        _ENCODER.encode(_Tail(_VERSION, kind.format, kind.layer, length, count, place, blocks))
    )
    yield tail
    yield _FOOT.pack(len(tail), _MAGIC)


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
        tail = _decoded(_TAIL, data.read(start, size) if start >= 0 else b"")
        if tail.version != _VERSION or tail.length < 0:
            raise _damaged()
        self.kind = ArchiveKind(tail.format, cast(LayerName, tail.layer))
        self.length = tail.length
        self.count = tail.members
        self._points = tail.points
        self._blocks = tail.blocks
        self._block = lru_cache(maxsize=8)(self._read_block)

    def points(self) -> bytes:
        """Where the layer of the archive can be read from."""
        offset, size = self._points
        return _unpacked(self._data.read(offset, size)) if size else b""

    def find(self, path: bytes) -> Member | None:
        """The member at a path; the last one, if there are several."""
        number = bisect_right(self._blocks, path, key=lambda block: block[0]) - 1
        if number < 0:
            return None
        found = [one for one in self._block(number) if one.path == path]
        return found[-1] if found else None

    def members(self, prefix: bytes = b"", *, after: bytes = b"") -> Iterator[Member]:
        """The members whose paths begin with a prefix, ordered by path, shadowed ones included.

        Args:
            prefix: The prefix.
            after: Passes over paths up to this one.
        """
        start = max(prefix, after)
        number = bisect_right(self._blocks, start, key=lambda block: block[0]) - 1
        for index in range(max(number, 0), len(self._blocks)):
            for one in self._block(index):
                if one.path.startswith(prefix) and (not after or one.path > after):
                    yield one
                elif one.path > start:
                    return

    def _read_block(self, number: int) -> list[Member]:
        _, offset, size = self._blocks[number]
        return _decoded(_MEMBERS, self._data.read(offset, size))


def _decoded(decoder: msgspec.msgpack.Decoder[_T], packed: bytes) -> _T:
    try:
        return decoder.decode(_unpacked(packed))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _damaged() from error


def _unpacked(packed: bytes) -> bytes:
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= MAX_INDEX_BLOCK:
            raise _damaged()
        return zstandard.ZstdDecompressor().decompress(packed)
    except zstandard.ZstdError as error:
        raise _damaged() from error


def _damaged() -> MalformedError:
    return MalformedError("the index of the archive is damaged")
