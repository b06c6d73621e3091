"""Writes zip: members stored or deflated, and the central directory from a file of the caller."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, Final

from casync.archives.member import DEFLATED, STORED, MemberKind
from casync.archives.writing.new_member import MemberWithBytes, NewMember, exact
from casync.archives.writing.zip_records import (
    WrittenZip,
    data_descriptor,
    directory_end,
    directory_record,
    local_header,
)
from casync.ids import Buffer
from casync.limits import MIB

__all__ = ["ZipWriter", "stored_zip_size", "write_zip"]

_HELD_BYTES: Final = MIB
"""The largest member whose checksum is in its local header: its bytes are held until it is known.
Readers of streams understand that best. Larger members have a data descriptor."""

_BLOCK_BYTES: Final = MIB
"""Bytes of the central directory that are read back at once."""


def write_zip(
    members: Iterable[MemberWithBytes], spool: BinaryIO, level: int = 0
) -> Iterator[Buffer]:
    """An archive of members, in their order.

    Args:
        members: The members.
        spool: An empty file, which takes the central directory.
        level: The level of zlib, 1 to 9; 0 to store members as they are.

    Raises:
        SourceChangedError: A member has more or fewer bytes than announced.
        UsageError: Zip has no such kind of member.
        CasyncError: What reading the members raises.
    """
    writer = ZipWriter(spool, level=level)
    for member, content in members:
        yield from writer.member(member, content)
    yield from writer.end()


class ZipWriter:
    """Writes an archive member by member.

    Args:
        spool: An empty file, which takes the central directory.
        level: As of `write_zip`.
        offset: Bytes of the archive that are there already.

    Attributes:
        written: The last member, once it is written.
    """

    written: WrittenZip

    def __init__(self, spool: BinaryIO, *, level: int = 0, offset: int = 0) -> None:
        self._spool = spool
        self._level = level
        self._offset = offset
        self._count = 0

    def member(self, member: NewMember, content: Iterable[Buffer]) -> Iterator[Buffer]:
        """A member: header, bytes and descriptor. Raises as `write_zip`."""
        if member.kind is MemberKind.SYMLINK:
            content, member = (member.target,), member._replace(length=len(member.target))
        blocks = exact(member, content)
        method = DEFLATED if self._level and _is_deflatable(member) else STORED
        held: list[Buffer] = []
        is_streamed = member.length > _HELD_BYTES
        crc, stored = 0, member.length
        if not is_streamed:
            for block in blocks:
                crc = zlib.crc32(block, crc)
                held.append(bytes(block))
            if method:
                held = list(_deflated(held, self._level))
            stored = sum(map(len, held))
        entry = WrittenZip(member, self._offset, method, is_streamed, crc, member.length, stored)
        header = local_header(entry)
        yield header
        if is_streamed:
            stored = 0
            checked = _Checksum(blocks)
            for part in _deflated(checked, self._level) if method else checked:
                stored += len(part)
                yield part
            entry = entry._replace(crc=checked.crc, stored=stored)
            held = [data_descriptor(entry)]
            stored += len(held[0])
        yield from held
        self._offset += len(header) + stored
        self._count += 1
        self._spool.write(directory_record(entry))
        self.written = entry

    def end(self, *, count: int = 0, size: int = 0, comment: bytes = b"") -> Iterator[Buffer]:
        """The central directory, and the end of the archive.

        Args:
            count: Records of the directory that the caller has put before these.
            size: Their bytes.
            comment: The comment of the archive.
        """
        size += self._spool.tell()
        self._spool.seek(0)
        while block := self._spool.read(_BLOCK_BYTES):
            yield block
        yield directory_end(self._count + count, size, self._offset, comment)


def stored_zip_size(members: Iterable[NewMember]) -> int:
    """Bytes of an archive of stored members. Raises as `write_zip`."""
    offset = directory = count = 0
    for member in members:
        length = len(member.target) if member.kind is MemberKind.SYMLINK else member.length
        is_streamed = length > _HELD_BYTES
        entry = WrittenZip(member, offset, STORED, is_streamed, 0, length, length)
        offset += len(local_header(entry)) + length
        offset += len(data_descriptor(entry)) if is_streamed else 0
        directory += len(directory_record(entry))
        count += 1
    return offset + directory + len(directory_end(count, directory, offset))


def _is_deflatable(member: NewMember) -> bool:
    return member.kind is MemberKind.FILE and member.length > 0


def _deflated(blocks: Iterable[Buffer], level: int) -> Iterator[bytes]:
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return filter(
        None,
        chain(map(deflate.compress, blocks), (deflate.flush() for _ in range(1))),
    )


class _Checksum:
    """Blocks, and the CRC-32 of those that were read."""

    def __init__(self, blocks: Iterable[Buffer]) -> None:
        self._blocks = blocks
        self.crc = 0

    def __iter__(self) -> Iterator[Buffer]:
        for block in self._blocks:
            self.crc = zlib.crc32(block, self.crc)
            yield block
