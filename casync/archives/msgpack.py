"""Reads MessagePack: one map from names to bytes, which are its members.

Headers are read by hand: a library would hold each value in memory, and values have up to 4 GiB.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from casync.archives.format import IGNORE, ByteReader, Refuse
from casync.archives.member import Member, MemberKind, is_whole, member_path, shown
from casync.errors import IntegrityError, MalformedError
from casync.limits import MAX_ARCHIVE_HEADER

__all__ = ["MessagePack", "bytes_header", "map_header"]

_HEADER_BYTES: Final = 5
_BYTES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""First bytes of bin and str, with the bytes of the length that follows."""


class MessagePack:
    """The format MessagePack."""

    name = "msgpack"

    def scan(self, archive: ByteReader, refuse: Refuse = IGNORE) -> Iterator[Member]:
        """All members in the order of the map, but those whose names stand for no path.

        Args:
            archive: The archive.
            refuse: Called with each such name.

        Raises:
            MalformedError: It is no map of names to bytes, or the archive ends early.
        """
        count, at = map_header(archive.read(0, _HEADER_BYTES))
        for _ in range(count):
            header = at
            name, at = _name(archive, header)
            offset, length = bytes_header(archive.read(at, _HEADER_BYTES), at)
            at = offset + length
            if at > archive.length:
                raise MalformedError(f"the archive ends inside {shown(name)}")
            try:
                path = member_path(name)
            except MalformedError:
                if not is_whole(name):
                    refuse(name)
                continue
            raw = b"" if name == path else name
            yield Member(path, MemberKind.FILE, header, offset, length, length, raw=raw)
        if at != archive.length:
            raise MalformedError(f"the map of MessagePack ends at byte {at}, but the file does not")

    def check(self, archive: ByteReader, member: Member) -> None:
        """Compares what an index says of a member with its key.

        Raises:
            IntegrityError: The archive says otherwise.
        """
        try:
            name, at = _name(archive, member.header)
            place = bytes_header(archive.read(at, _HEADER_BYTES), at)
            is_right = member_path(name) == member.path and place == (member.offset, member.length)
        except MalformedError:
            is_right = False
        if not is_right:
            raise IntegrityError(
                f"the index of the archive is wrong about {shown(member.path)}",
            )

    def proves(self, archive: ByteReader, member: Member) -> bool:
        """True: `check` has compared the length."""
        return True

    def read(self, archive: ByteReader, member: Member, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a part of a member.

        Raises:
            IntegrityError: The archive ends before.
        """
        left = end - start
        for block in archive.blocks(member.offset + start, member.offset + end):
            left -= len(block)
            yield block
        if left:
            raise IntegrityError(f"the archive ends inside {shown(member.path)}")


def map_header(head: bytes) -> tuple[int, int]:
    """The entries of a map, and the bytes of its header.

    Args:
        head: The first five bytes of a file, or all of it.

    Raises:
        MalformedError: It begins with no map.
    """
    first = head[0] if head else 0
    if first & 0xF0 == 0x80:
        return first & 0x0F, 1
    size = {0xDE: 2, 0xDF: 4}.get(first, 0)
    if not size or len(head) <= size:
        raise MalformedError("this is no map of MessagePack")
    return int.from_bytes(head[1 : 1 + size], "big"), 1 + size


def _name(archive: ByteReader, at: int) -> tuple[bytes, int]:
    """A key, and where its value begins."""
    head = archive.read(at, _HEADER_BYTES)
    if head and head[0] & 0xE0 == 0xA0:
        start, length = at + 1, head[0] & 0x1F
    else:
        start, length = bytes_header(head, at)
    if length > MAX_ARCHIVE_HEADER:
        raise MalformedError(f"the key at byte {at} has {length} bytes")
    name = archive.read(start, length)
    if len(name) < length:
        raise MalformedError(f"the archive ends inside the key at byte {at}")
    return name, start + length


def bytes_header(head: bytes, at: int) -> tuple[int, int]:
    """Where the bytes of a value or a name begin, and how many there are.

    Raises:
        MalformedError: The head is not that of bytes or a text.
    """
    if head and head[0] & 0xE0 == 0xA0:
        return at + 1, head[0] & 0x1F
    size = _BYTES.get(head[0]) if head else None
    if size is None or len(head) <= size:
        raise MalformedError(f"there are no bytes at byte {at}, as a map of MessagePack must have")
    return at + 1 + size, int.from_bytes(head[1 : 1 + size], "big")
