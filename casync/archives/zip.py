"""Reads zip: stored and deflated members, zip64, with or without data descriptors."""

from __future__ import annotations

import calendar
import stat
import zlib
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from casync.archives.byte_files import ReaderFile
from casync.archives.format import IGNORE, ByteReader, Refuse
from casync.archives.member import (
    DEFLATED,
    ENCRYPTED,
    STORED,
    Member,
    MemberKind,
    is_whole,
    member_path,
    shown,
)
from casync.archives.plain_bytes import PlainBytes
from casync.archives.zip_directory import (
    DESCRIPTOR_BYTES,
    LOCAL_BYTES,
    ZipEntry,
    entries,
    find_directory,
    is_descriptor,
    local_end,
    local_sizes,
)
from casync.errors import IntegrityError, MalformedError, UnsupportedError
from casync.limits import MAX_LINK_TARGET

__all__ = ["Zip", "name_of"]

_UNIX: Final = 3
_DOS_FOLDER: Final = 0x10
_IS_ENCRYPTED: Final = 0x1
_TIMES: Final = 0x5455
"""The extra field with times of Unix."""

_METHODS: Final = {1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd"}
_MAX_LOCAL: Final = LOCAL_BYTES + 2 * 0xFFFF
"""Bytes of the longest local header."""

_BLOCK_BYTES: Final = 256 * 1024


class Zip:
    """The format zip."""

    name = "zip"

    def scan(self, archive: ByteReader, refuse: Refuse = IGNORE) -> Iterator[Member]:
        """All members in the order of the directory, but those whose names stand for no path.

        Args:
            archive: The archive.
            refuse: Called with each such name.

        Raises:
            MalformedError: The directory or a local header is damaged, or members overlap.
        """
        directory = find_directory(archive)
        if directory is None:
            raise MalformedError("the zip archive has no directory at its end")
        headers = ReaderFile(archive)
        room = directory.start
        for entry in entries(archive, directory):
            size = LOCAL_BYTES + len(entry.name)
            # Members that share bytes need more room than there is: a bomb of overlapping members.
            room -= size + entry.stored
            if room < 0:
                raise MalformedError("members of the zip archive overlap")
            headers.seek(entry.header)
            offset = local_end(headers.read(size) or b"", entry.name, entry.header)
            if offset + entry.stored > directory.start:
                raise MalformedError(f"the zip archive ends inside {shown(entry.name)}")
            try:
                yield self._member(archive, entry, offset)
            except MalformedError:
                if not is_whole(entry.name):
                    refuse(entry.name)

    def check(self, archive: ByteReader, member: Member) -> None:
        """Compares what an index says of a member with its local header.

        Lengths and checksum are compared with the bytes when they are read.

        Raises:
            IntegrityError: The archive says otherwise.
        """
        head = archive.read(member.header, min(member.offset - member.header, _MAX_LOCAL))
        name = head[LOCAL_BYTES : LOCAL_BYTES + int.from_bytes(head[26:28], "little")]
        try:
            offset = local_end(head, name, member.header)
            path = member_path(name_of(name))
        except MalformedError:
            offset, path = -1, b""
        is_there = offset == member.offset and path == member.path
        if not is_there or self._target(archive, member) != member.target:
            raise IntegrityError(
                f"the index of the archive is wrong about {shown(member.path)}",
            )

    def proves(self, archive: ByteReader, member: Member) -> bool:
        """Whether the local header or a data descriptor has the lengths and the checksum."""
        head = archive.read(member.header, min(member.offset - member.header, _MAX_LOCAL))
        after = archive.read(member.offset + member.stored, DESCRIPTOR_BYTES)
        said = (member.crc or 0, member.stored, member.length)
        return said == local_sizes(head) or is_descriptor(after, *said)

    def read(self, archive: ByteReader, member: Member, start: int, end: int) -> Iterator[bytes]:
        """The plain bytes of a part of a member. Of a whole member the checksum is compared.

        Raises:
            UnsupportedError: It is encrypted, or stored by another method than deflate.
            MalformedError: It is deflated, and far more bytes than archives have come before.
            IntegrityError: Its bytes are damaged.
        """
        if member.method & ENCRYPTED:
            raise UnsupportedError("encrypted members of zip archives cannot be read")
        if member.method not in (STORED, DEFLATED):
            method = _METHODS.get(member.method, f"method {member.method}")
            raise UnsupportedError(f"members of zip archives stored by {method} cannot be read")
        is_whole = (start, end) == (0, member.length)
        crc, left = 0, end - start
        for block in _plain(archive, member, start, end):
            crc = zlib.crc32(block, crc) if is_whole else 0
            left -= len(block)
            yield block
        if left or (is_whole and member.crc is not None and crc != member.crc):
            raise IntegrityError(f"{shown(member.path)} is damaged in its archive")

    def _member(self, archive: ByteReader, entry: ZipEntry, offset: int) -> Member:
        raw = name_of(entry.name)
        path = member_path(raw)
        mode = entry.attributes >> 16 if entry.system == _UNIX else 0
        kind = MemberKind.FILE
        if raw.endswith(b"/") or stat.S_ISDIR(mode) or entry.attributes & _DOS_FOLDER:
            kind = MemberKind.FOLDER
        elif stat.S_ISLNK(mode):
            kind = MemberKind.SYMLINK
        elif stat.S_IFMT(mode) and not stat.S_ISREG(mode) and not entry.length:
            kind = MemberKind.OTHER  # one with bytes is a file that was read from a pipe
        member = Member(
            path=path,
            kind=kind,
            header=entry.header,
            offset=offset,
            length=entry.length,
            stored=entry.stored,
            method=entry.method | (ENCRYPTED if entry.flags & _IS_ENCRYPTED else 0),
            crc=entry.crc,
            mode=stat.S_IMODE(mode) or (0o755 if kind is MemberKind.FOLDER else 0o644),
            mtime=_mtime(entry),
            raw=b"" if raw == path else raw,
        )
        return replace(member, target=self._target(archive, member))

    def _target(self, archive: ByteReader, member: Member) -> bytes:
        """What a symbolic link leads to: its bytes. Empty where they cannot be read."""
        if member.kind is not MemberKind.SYMLINK or member.length > MAX_LINK_TARGET:
            return b""
        try:
            return b"".join(self.read(archive, member, 0, member.length))
        except (UnsupportedError, IntegrityError):
            return b""


def _plain(archive: ByteReader, member: Member, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a part of a member; fewer, or others, where it is damaged."""
    if member.method == STORED:
        if member.stored >= end:
            yield from archive.blocks(member.offset + start, member.offset + end)
        return
    PlainBytes(archive.length).take(start, member.path)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    at = 0
    try:
        for stored in archive.blocks(member.offset, member.offset + member.stored):
            data, plain = stored, b""
            # A full block may leave plain bytes behind in the decompressor, after all stored ones.
            while data or len(plain) == _BLOCK_BYTES:
                plain = inflate.decompress(data, _BLOCK_BYTES)
                data = inflate.unconsumed_tail
                if plain and at + len(plain) > start:
                    yield plain[max(start - at, 0) : end - at]
                at += len(plain)
                if inflate.eof or at >= end:
                    return
    except zlib.error as error:
        raise _damaged(member) from error


def _damaged(member: Member) -> IntegrityError:
    return IntegrityError(f"{shown(member.path)} is damaged in its archive")


def name_of(name: bytes) -> bytes:
    """The name of an entry in UTF-8, in which most programs write it, with or without its flag.

    Names of DOS are in code page 437.
    """
    try:
        name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437").encode()
    return name


def _mtime(entry: ZipEntry) -> int:
    times = entry.extra.get(_TIMES, b"")
    if len(times) >= 5 and times[0] & 1:
        return int.from_bytes(times[1:5], "little", signed=True)
    date, time = divmod(entry.time, 1 << 16)
    year, month, day = 1980 + (date >> 9), date >> 5 & 15, date & 31
    clock = (time >> 11, time >> 5 & 63, (time & 31) * 2)
    if not 1 <= month <= 12:
        return 0  # no time, or none that there is
    return calendar.timegm((year, month, max(day, 1), *clock))
