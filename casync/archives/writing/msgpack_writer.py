"""Writes MessagePack: one map from the paths of files to their bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from casync.archives.member import MemberKind
from casync.archives.writing.new_member import MemberWithBytes, NewMember, exact
from casync.errors import SourceChangedError, UsageError
from casync.ids import Buffer

__all__ = [
    "MAX_MSGPACK",
    "msgpack_header",
    "msgpack_map",
    "msgpack_pairs",
    "msgpack_size",
    "write_msgpack",
]

MAX_MSGPACK: Final = 2**32 - 1
"""Members of a map, and bytes of a value, that MessagePack can count."""

_U16: Final = struct.Struct(">BH")
_U32: Final = struct.Struct(">BI")


def write_msgpack(count: int, members: Iterable[MemberWithBytes]) -> Iterator[Buffer]:
    """A map of files, in their order.

    Args:
        count: How many there are.
        members: The files. Their paths differ.

    Raises:
        SourceChangedError: There are more or fewer members, or bytes of one, than announced.
        UsageError: A member is not a file, or larger than MessagePack can say.
        CasyncError: What reading the members raises.
    """
    yield msgpack_map(count)
    yield from msgpack_pairs(count, members)


def msgpack_pairs(count: int, members: Iterable[MemberWithBytes]) -> Iterator[Buffer]:
    """What follows the header of a map: keys and values. Takes and raises as `write_msgpack`."""
    left = count
    for member, content in members:
        left -= 1
        if left < 0:
            break
        yield msgpack_header(member)
        yield from exact(member, content)
    if left:
        raise SourceChangedError("the members changed while the archive was written")


def msgpack_map(count: int) -> bytes:
    """The header of the map. It is five bytes long for any number of members.

    Raises:
        UsageError: There are more than MessagePack can count.
    """
    if count > MAX_MSGPACK:
        raise UsageError(f"MessagePack holds at most {MAX_MSGPACK} members", next_step=_OTHERS)
    return _U32.pack(0xDF, count)


def msgpack_header(member: NewMember) -> bytes:
    """The key of a member, and the header of its value.

    Raises:
        UsageError: It is not a file, or larger than MessagePack can say.
    """
    label = member.path.decode(errors="surrogateescape")
    if member.kind is not MemberKind.FILE:
        raise UsageError(f"MessagePack holds files only, and {label} is none", next_step=_OTHERS)
    if member.length > MAX_MSGPACK:
        raise UsageError(f"{label} has more than {MAX_MSGPACK} bytes", next_step=_OTHERS)
    return _key(member.path) + _bin(member.length)


def msgpack_size(member: NewMember) -> int:
    """Bytes that a member takes. Raises as `msgpack_header`."""
    return len(msgpack_header(member)) + member.length


_OTHERS: Final = "Make a tar or zip archive."


def _key(path: bytes) -> bytes:
    try:
        path.decode()
    except UnicodeDecodeError:
        return _bin(len(path)) + path
    length = len(path)
    if length < 32:
        return bytes([0xA0 + length]) + path
    if length < 2**8:
        return bytes([0xD9, length]) + path
    return (_U16.pack(0xDA, length) if length < 2**16 else _U32.pack(0xDB, length)) + path


def _bin(length: int) -> bytes:
    if length < 2**8:
        return bytes([0xC4, length])
    return _U16.pack(0xC5, length) if length < 2**16 else _U32.pack(0xC6, length)
