"""Takes a map of MessagePack apart, from names to bytes, as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from casync.archives.member import MemberKind, shown
from casync.archives.msgpack import bytes_header, map_header
from casync.archives.unpacking.forward_file import ForwardFile
from casync.archives.unpacking.unpacked_member import (
    MemberBlock,
    RefusedMember,
    UnpackedMember,
    unpacked_path,
)
from casync.errors import MalformedError

__all__ = ["begins_msgpack", "unpack_msgpack"]

_MODE: Final = 0o644
_HEADER_BYTES: Final = 5


def begins_msgpack(head: bytes) -> bool:
    """Whether some bytes are the beginning of a map whose first pair is a name and bytes."""
    try:
        count, at = map_header(head)
        if not count:
            return len(head) == at
        start, length = bytes_header(head[at : at + _HEADER_BYTES], 0)
        value = at + start + length
        bytes_header(head[value : value + _HEADER_BYTES], 0)
    except MalformedError:
        return False
    return True


def unpack_msgpack(file: ForwardFile) -> Iterator[UnpackedMember | RefusedMember]:
    """The members of a map in its order. They have no times and no modes of their own.

    Raises:
        MalformedError: It is no map of names to bytes, ends early, or is followed by something.
        CasyncError: What reading the file raises.
    """
    count, size = map_header(file.peek(_HEADER_BYTES))
    file.read(size)
    for _ in range(count):
        name = file.read(_next_length(file))
        length = _next_length(file)
        end = file.tell() + length
        try:
            path = unpacked_path(name, MemberKind.FILE)
        except MalformedError as error:
            yield RefusedMember(name, error.message)
        else:
            blocks = _blocks(file, name, length)
            yield UnpackedMember(path, MemberKind.FILE, _MODE, 0, length, blocks)
        file.seek(end)
        if file.tell() < end:
            raise MalformedError(f"the archive ends inside {shown(name)}")
    if file.peek(1):
        raise MalformedError(
            f"the map of MessagePack ends at byte {file.tell()}, but the archive does not"
        )


def _next_length(file: ForwardFile) -> int:
    """Reads the header of a name or of bytes; returns how many bytes follow."""
    at = file.tell()
    start, length = bytes_header(file.peek(_HEADER_BYTES), at)
    file.read(start - at)
    return length


def _blocks(file: ForwardFile, name: bytes, length: int) -> Iterator[MemberBlock]:
    left = length
    for block in file.blocks(length):
        left -= len(block)
        yield block
    if left:
        raise MalformedError(f"the archive ends inside {shown(name)}")
