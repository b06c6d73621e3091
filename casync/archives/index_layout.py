"""The layout of an index of members (docs/FORMAT.md section 5.6)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import msgspec

from casync.archives.member import Member
from casync.limits import MAX_REFUSED_NAMES, MAX_TREE_PATH

__all__ = [
    "INDEX_FOOT",
    "INDEX_MAGIC",
    "INDEX_VERSION",
    "NONE_REFUSED",
    "BlockPlace",
    "LongTail",
    "PointPlace",
    "RefusedNames",
    "Tail",
    "fits_index",
    "member_order",
]

INDEX_VERSION: Final = 2
INDEX_MAGIC: Final = b"casyncm1"
INDEX_FOOT: Final = struct.Struct("<Q8s")
"""The bytes of the tail, and the magic."""


class RefusedNames(NamedTuple):
    """Members that an archive has, but not its index: no path is theirs, or it is too long.

    Attributes:
        number: How many there are.
        names: The first of their names, as the archive has them.
    """

    number: int = 0
    names: tuple[bytes, ...] = ()

    def and_one(self, name: bytes) -> RefusedNames:
        """These, and one more."""
        keeps = len(self.names) < MAX_REFUSED_NAMES
        names = (*self.names, name[:MAX_TREE_PATH]) if keeps else self.names
        return RefusedNames(self.number + 1, names)


NONE_REFUSED: Final = RefusedNames()


class BlockPlace(NamedTuple):
    """The path of the first member of a block, and where the block lies."""

    first: bytes
    offset: int
    size: int


class PointPlace(NamedTuple):
    """A point of gzip as `GzipPoint` has it, and where its window lies."""

    stored: int
    plain: int
    bits: int
    offset: int
    size: int


class Tail(msgspec.Struct, frozen=True, array_like=True):
    """What an index ends with."""

    version: int
    format: str
    layer: str
    length: int  # of the plain archive
    members: int
    points: tuple[int, int]  # offset and size
    blocks: list[BlockPlace]
    last: int = 0  # the highest header of a member


class LongTail(Tail, frozen=True, array_like=True):
    """The tail of an index that lacks members."""

    refused: RefusedNames = NONE_REFUSED


def member_order(member: Member) -> tuple[bytes, int]:
    """The key by which members of an index are sorted."""
    return member.path, member.header


def fits_index(member: Member) -> bool:
    """Whether an index has room for a member: its names are no longer than paths of trees."""
    return max(len(member.path), len(member.raw), len(member.target)) <= MAX_TREE_PATH
