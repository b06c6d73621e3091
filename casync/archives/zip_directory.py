"""The directory at the end of a zip archive, read entry by entry.

`zipfile` holds the whole directory in memory, a kilobyte for each member; here it is one entry.
The layout is that of PKWARE's APPNOTE.TXT, with zip64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from casync.archives.byte_files import HeaderFile
from casync.archives.format import ByteReader
from casync.errors import MalformedError
from casync.limits import MAX_LENGTH

__all__ = [
    "DESCRIPTOR_BYTES",
    "LOCAL_BYTES",
    "Directory",
    "ZipEntry",
    "entries",
    "find_directory",
    "is_descriptor",
    "local_end",
    "local_sizes",
]

_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
LOCAL_BYTES: Final = _LOCAL.size
DESCRIPTOR_BYTES: Final = 24
"""Bytes of the longest data descriptor: with a signature and 64 bits for each size."""

_FIELD: Final = struct.Struct("<2H")
_MAX_COMMENT: Final = 0xFFFF
_SIZES_FOLLOW: Final = 0x8
_MANY: Final = 0xFFFF
_ELSEWHERE: Final = 0xFFFFFFFF
"""In fields of 16 and 32 bits: the value is in a record or an extra field of zip64."""


class Directory(NamedTuple):
    """Where the directory lies.

    Attributes:
        start: Its first byte.
        end: The first byte after it.
        members: Its number of entries.
        shift: Bytes before the archive proper, which its offsets do not count.
        comment: The comment of the archive.
    """

    start: int
    end: int
    members: int
    shift: int
    comment: bytes


class ZipEntry(NamedTuple):
    """An entry of the directory.

    Attributes:
        name: The name as it is written.
        system: The system whose attributes it has; 3 is Unix.
        flags: Its general purpose flags.
        method: How it is stored.
        time: Its date and time in the layout of DOS, the date in the high 16 bits.
        crc: The CRC-32 of its plain bytes.
        stored: Its bytes in the archive.
        length: Its plain bytes.
        attributes: Its external attributes.
        header: Where its local header begins.
        extra: Its extra fields by number, but that of zip64.
        start: Where it begins itself.
        end: Where it ends.
    """

    name: bytes
    system: int
    flags: int
    method: int
    time: int
    crc: int
    stored: int
    length: int
    attributes: int
    header: int
    extra: dict[int, bytes]
    start: int
    end: int


def find_directory(archive: ByteReader) -> Directory | None:
    """Finds the directory; None if the bytes do not end as a zip archive does.

    Raises:
        MalformedError: The directory does not fit before its end record.
    """
    size = min(archive.length, _END.size + _MAX_COMMENT)
    tail = archive.read(archive.length - size, size)
    at = len(tail)
    while (at := tail.rfind(b"PK\5\6", 0, at + 3 if at < len(tail) else None)) >= 0:
        if len(tail) - at >= _END.size:
            end = _END.unpack_from(tail, at)
            after = at + _END.size + end[7]
            # bsdtar pads what it writes into a pipe with zeros.
            if after <= len(tail) and not any(tail[after:]):
                comment = tail[at + _END.size : after]
                return _directory(archive, archive.length - size + at, end, comment)
    return None


def _directory(archive: ByteReader, at: int, end: tuple[int, ...], comment: bytes) -> Directory:
    _, disk, first_disk, _, count, size, offset, _ = end
    if disk not in (0, _MANY) or first_disk not in (0, _MANY):
        raise MalformedError(
            "the zip archive is one part of several",
            next_step="`zip -s 0 PART.zip --out WHOLE.zip` joins them.",
        )
    locator = archive.read(max(at - _LOCATOR.size, 0), _LOCATOR.size)
    if len(locator) == _LOCATOR.size and locator.startswith(b"PK\6\7"):
        # It stands right before its locator, unless it has further fields.
        for place in (at - _LOCATOR.size - _END_64.size, _LOCATOR.unpack(locator)[2]):
            record = archive.read(max(place, 0), _END_64.size)
            if len(record) == _END_64.size and record.startswith(b"PK\6\6"):
                *_, count, size, offset = _END_64.unpack(record)
                at = place
                break
        else:
            raise MalformedError("the zip archive has no end record of zip64")
    start = at - size
    if start < 0 or offset > start:
        raise MalformedError("the directory of the zip archive is not where its end says")
    return Directory(start, at, count, start - offset, comment)


def entries(archive: ByteReader, directory: Directory) -> Iterator[ZipEntry]:
    """The entries of the directory, in its order.

    Raises:
        MalformedError: An entry is damaged.
    """
    file = HeaderFile(archive, directory.start)
    at = directory.start
    number = 0
    while at < directory.end:
        fixed = file.read(_CENTRAL.size)
        if len(fixed) < _CENTRAL.size or not fixed.startswith(b"PK\1\2"):
            raise MalformedError(f"entry {number} of the zip directory is damaged, at byte {at}")
        (_, made, _, flags, method, time, date, crc, stored, length, *rest) = _CENTRAL.unpack(fixed)
        name_size, extra_size, comment_size, _, _, attributes, header = rest
        variable = file.read(name_size + extra_size + comment_size)
        at += len(fixed) + len(variable)
        if at > directory.end:
            raise MalformedError(f"entry {number} of the zip directory ends beyond it")
        extra = _extra_fields(variable[name_size : name_size + extra_size])
        wide = extra.pop(1, b"")
        values = []
        for value in (length, stored, header):
            if value == _ELSEWHERE:
                if len(wide) < 8:
                    raise MalformedError(f"entry {number} of the zip directory lacks zip64 sizes")
                value, wide = int.from_bytes(wide[:8], "little"), wide[8:]
            values.append(value)
        length, stored, header = values
        header += directory.shift
        if length > MAX_LENGTH or header > directory.start:
            raise MalformedError(f"entry {number} of the zip directory is damaged, at byte {at}")
        number += 1
        yield ZipEntry(
            name=variable[:name_size],
            system=made >> 8,
            flags=flags,
            method=method,
            time=date << 16 | time,
            crc=crc,
            stored=stored,
            length=length,
            attributes=attributes,
            header=header,
            extra=extra,
            start=at - len(fixed) - len(variable),
            end=at,
        )
    if number != directory.members:
        raise MalformedError(
            f"the directory of the zip archive has {number} entries, but its end says "
            f"{directory.members}"
        )


def local_end(fixed: bytes, name: bytes, header: int) -> int:
    """Where the bytes of a member begin: after its local header.

    Args:
        fixed: The bytes of the archive from `header` on, those of the name included.
        name: The name that the directory has.
        header: Where the local header begins.

    Raises:
        MalformedError: There is no local header with that name.
    """
    if len(fixed) < _LOCAL.size or not fixed.startswith(b"PK\3\4"):
        raise MalformedError(f"the zip archive has no member at byte {header}")
    *_, name_size, extra_size = _LOCAL.unpack_from(fixed)
    if fixed[_LOCAL.size : _LOCAL.size + name_size] != name:
        raise MalformedError(f"the member at byte {header} has another name than in the directory")
    return header + _LOCAL.size + int(name_size) + int(extra_size)


def local_sizes(head: bytes) -> tuple[int, int, int] | None:
    """The checksum, the stored and the plain bytes in a local header; None if they follow later.

    Args:
        head: The header, with its name and extra fields.
    """
    _, _, flags, _, _, _, crc, stored, length, name_size, _ = _LOCAL.unpack_from(head)
    if flags & _SIZES_FOLLOW:
        return None
    wide = _extra_fields(head[_LOCAL.size + name_size :]).get(1, b"")
    if _ELSEWHERE in (stored, length):  # a local header has both there
        if len(wide) < 2 * 8:
            return None
        length, stored = (int.from_bytes(wide[at : at + 8], "little") for at in (0, 8))
    return crc, stored, length


def is_descriptor(after: bytes, crc: int, stored: int, length: int) -> bool:
    """Whether the bytes after a member are a data descriptor with these values."""
    after = after.removeprefix(b"PK\7\x08")
    for size in (4, 8):
        if max(stored, length) < 1 << (8 * size):
            sizes = stored.to_bytes(size, "little") + length.to_bytes(size, "little")
            if after.startswith(crc.to_bytes(4, "little") + sizes):
                return True
    return False


def _extra_fields(data: bytes) -> dict[int, bytes]:
    """Extra fields by number, as far as they are whole."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _FIELD.size <= len(data):
        number, size = _FIELD.unpack_from(data, at)
        at += _FIELD.size
        found.setdefault(number, data[at : at + size])
        at += size
    return found
