"""The records of zip: local headers, data descriptors, and the central directory.

Fields that 32 bits cannot hold go into an extra field of zip64, as section 4.5.3 of APPNOTE says.
"""

from __future__ import annotations

import stat
import struct
import time
from typing import Final, NamedTuple

from casync.archives.member import MemberKind
from casync.archives.writing.new_member import NewMember
from casync.errors import UsageError

__all__ = [
    "WrittenZip",
    "data_descriptor",
    "directory_end",
    "directory_record",
    "local_header",
    "zip_mtime",
]

_LOCAL: Final = struct.Struct("<IHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<IHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<IHHHHIIH")
_END64: Final = struct.Struct("<IQHHIIQQQQ")
_LOCATOR: Final = struct.Struct("<IIQI")
_TIMES: Final = struct.Struct("<HHBi")
_OWNERS: Final = struct.Struct("<HHBBIBI")

_UNIX: Final = 3 << 8
_PLAIN_VERSION: Final = 20
_ZIP64_VERSION: Final = 45
_STREAMED: Final = 1 << 3
"""The flag of a member whose lengths and checksum follow its bytes."""

_UTF8: Final = 1 << 11
_FULL16: Final = 2**16 - 1
_FULL32: Final = 2**32 - 1
_MAX_NAME: Final = _FULL16
_EARLIEST, _LATEST = 315532800, 4354819199
"""The times that DOS can say, 1980 to 2107, in seconds since 1970."""

_FOLDER_ATTRIBUTE: Final = 0x10
_TYPES: Final = {
    MemberKind.FILE: stat.S_IFREG,
    MemberKind.FOLDER: stat.S_IFDIR,
    MemberKind.SYMLINK: stat.S_IFLNK,
}


class WrittenZip(NamedTuple):
    """How a member lies in a zip archive.

    Attributes:
        member: The member.
        offset: The offset of its local header.
        method: 0 stored, 8 deflated.
        is_streamed: Whether a data descriptor follows its bytes.
        crc: The CRC-32 of its plain bytes; 0 in the local header of a streamed member.
        length: Its plain bytes.
        stored: Its bytes in the archive.
    """

    member: NewMember
    offset: int
    method: int
    is_streamed: bool
    crc: int
    length: int
    stored: int

    @property
    def is_wide(self) -> bool:
        """Whether its local header and descriptor have lengths of 64 bits.

        A streamed header comes before the stored length is known; deflating adds less than this.
        """
        most = self.length + (self.length >> 10) + _FULL16 if self.is_streamed else self.length
        return max(most if self.method else self.length, self.stored) >= _FULL32


def local_header(entry: WrittenZip) -> bytes:
    """The header before the bytes of a member.

    Raises:
        UsageError: Zip has no such kind of member, or its path is too long.
    """
    name = _name(entry.member)
    extra = _times(entry.member) + _owners(entry.member)
    length, stored = (0, 0) if entry.is_streamed else (entry.length, entry.stored)
    if entry.is_wide:
        extra = struct.pack("<HHQQ", 1, 16, length, stored) + extra
        length = stored = _FULL32
    return (
        _LOCAL.pack(
            0x04034B50,
            _ZIP64_VERSION if entry.is_wide else _PLAIN_VERSION,
            _flags(entry, name),
            entry.method,
            *_dos_time(entry.member.mtime),
            0 if entry.is_streamed else entry.crc,
            stored,
            length,
            len(name),
            len(extra),
        )
        + name
        + extra
    )


def data_descriptor(entry: WrittenZip) -> bytes:
    """What follows the bytes of a streamed member."""
    layout = "<IIQQ" if entry.is_wide else "<IIII"
    return struct.pack(layout, 0x08074B50, entry.crc, entry.stored, entry.length)


def directory_record(entry: WrittenZip) -> bytes:
    """The record of a member in the central directory."""
    name = _name(entry.member)
    fields = [entry.length, entry.stored, entry.offset]
    wide = [field for field in fields if field >= _FULL32]
    length, stored, offset = (min(field, _FULL32) for field in fields)
    extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    extra += _times(entry.member) + _owners(entry.member)
    version = _ZIP64_VERSION if wide or entry.is_wide else _PLAIN_VERSION
    kind = entry.member.kind
    mode = _TYPES[kind] | (entry.member.mode & 0o7777)
    return (
        _CENTRAL.pack(
            0x02014B50,
            _UNIX | version,
            version,
            _flags(entry, name),
            entry.method,
            *_dos_time(entry.member.mtime),
            entry.crc,
            stored,
            length,
            len(name),
            len(extra),
            0,
            0,
            0,
            mode << 16 | (_FOLDER_ATTRIBUTE if kind is MemberKind.FOLDER else 0),
            offset,
        )
        + name
        + extra
    )


def directory_end(count: int, size: int, offset: int, comment: bytes = b"") -> bytes:
    """The end of an archive.

    Args:
        count: Records of the central directory.
        size: Its bytes.
        offset: Where it begins.
        comment: The comment of the archive.
    """
    wide = b""
    if count >= _FULL16 or size >= _FULL32 or offset >= _FULL32:
        wide = _END64.pack(
            0x06064B50,
            _END64.size - 12,
            _UNIX | _ZIP64_VERSION,
            _ZIP64_VERSION,
            0,
            0,
            count,
            count,
            size,
            offset,
        ) + _LOCATOR.pack(0x07064B50, 0, offset + size, 1)
    few = min(count, _FULL16)
    places = min(size, _FULL32), min(offset, _FULL32)
    return wide + _END.pack(0x06054B50, 0, 0, few, few, *places, len(comment)) + comment


def zip_mtime(mtime: int) -> int:
    """The time that a reader finds: where its extra field has no room, that of DOS."""
    if -(2**31) <= mtime < 2**31:
        return mtime
    return min(max(mtime, _EARLIEST), _LATEST) // 2 * 2


def _name(member: NewMember) -> bytes:
    label = member.path.decode(errors="surrogateescape")
    if member.kind not in _TYPES:
        raise UsageError(f"zip has no room for {label}: it is no file, folder or symbolic link")
    name = member.path + b"/" if member.kind is MemberKind.FOLDER else member.path
    if len(name) > _MAX_NAME:
        raise UsageError(f"a path of {len(name)} bytes does not fit into a zip archive")
    return name


def _flags(entry: WrittenZip, name: bytes) -> int:
    return (_STREAMED if entry.is_streamed else 0) | (0 if _is_plain(name) else _UTF8)


def _is_plain(name: bytes) -> bool:
    """Whether a name is ASCII, or bytes of no known encoding."""
    try:
        return name.isascii() or not name.decode()
    except UnicodeDecodeError:
        return True


def _times(member: NewMember) -> bytes:
    """The extra field that has the time in seconds and UTC; of DOS it has two, and a local zone."""
    if not -(2**31) <= member.mtime < 2**31:
        return b""
    return _TIMES.pack(0x5455, 5, 1, member.mtime)


def _owners(member: NewMember) -> bytes:
    """The extra field `ux` of Info-ZIP: numbers of the owners, in four bytes each."""
    if member.extended is None:
        return b""
    return _OWNERS.pack(0x7875, _OWNERS.size - 4, 1, 4, member.extended.uid, 4, member.extended.gid)


def _dos_time(mtime: int) -> tuple[int, int]:
    when = time.gmtime(min(max(mtime, _EARLIEST), _LATEST))
    return (
        when.tm_hour << 11 | when.tm_min << 5 | when.tm_sec // 2,
        when.tm_year - 1980 << 9 | when.tm_mon << 5 | when.tm_mday,
    )
