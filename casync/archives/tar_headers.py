"""The headers of a tar, one after the other: v7, ustar, pax, GNU, and all sparse layouts of GNU.

Headers are read here and not by `tarfile`, whose time for a pax header is quadratic in its length
(CVE-2024-6232), which recurses for each extended header, and whose times are floats. The layouts
are those of POSIX.1-2017 (`pax`) and of the GNU tar manual, "Tar Internals".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from casync.archives.member import shown
from casync.errors import MalformedError
from casync.limits import (
    MAX_ARCHIVE_HEADER,
    MAX_GLOBAL_FIELDS,
    MAX_LENGTH,
    MAX_SPARSE_EXTENTS,
)

__all__ = ["Extents", "HeaderSource", "TarHeader", "tar_headers"]

_BLOCK: Final = 512
_REGULAR: Final = b"\x0007S"
"""Types of files: of v7 and POSIX, contiguous and sparse ones."""

_NO_BYTES: Final = b"123456"
"""Types without bytes, whatever the field of the size says."""

_MAX_EXTENDED: Final = 64
"""Extended headers of one member. Programs write up to three."""

_NS: Final = 1_000_000_000
_TIME: Final = re.compile(rb"(-?)(\d{1,18})(?:\.(\d{1,64}))?")
_MAX_DIGITS: Final = 20
"""Decimal digits of a number: those of 64 bits."""

_STRUCT: Final = 24
"""Bytes of an offset and a length in an old sparse map."""

_KEPT_EMPTY: Final = (b"SCHILY.xattr.", b"LIBARCHIVE.xattr.")
"""Fields that may be empty; an empty value of others takes the field away."""

Extents = list[tuple[int, int]]
"""Where a sparse file has bytes, as (offset, length)."""


class HeaderSource(Protocol):
    """The part of a binary file that headers are read from."""

    def seek(self, offset: int, /) -> object:
        """Moves to a position that is not before the present one."""
        ...

    def tell(self) -> int:
        """The position."""
        ...

    def read(self, size: int, /) -> bytes:
        """The next bytes; fewer only at the end.

        Raises:
            MalformedError: No header has that size.
        """
        ...


class TarHeader(NamedTuple):
    """A member of a tar.

    Attributes:
        start: Where its headers begin.
        offset: Where its bytes begin.
        stored: Bytes that it has in the archive, without padding.
        end: Where the next header begins.
        type: The one byte that says what it is; `0` for all files.
        name: Its name.
        target: What a link leads to.
        mode: Its permission bits.
        uid: The owner's number.
        gid: The group's number.
        user: The owner's name.
        group: The group's name.
        length: The bytes of the file.
        mtime_ns: Nanoseconds since 1970.
        device: Major and minor number of a device.
        fields: Fields of its pax headers, and of global ones.
        extents: Where a sparse file has bytes; None for other files.
    """

    start: int
    offset: int
    stored: int
    end: int
    type: bytes
    name: bytes
    target: bytes
    mode: int
    uid: int
    gid: int
    user: bytes
    group: bytes
    length: int
    mtime_ns: int
    device: tuple[int, int]
    fields: dict[bytes, bytes]
    extents: Extents | None


def tar_headers(file: HeaderSource, start: int = 0) -> Iterator[TarHeader]:
    """The headers from a position on. The file may be read and moved forwards in between.

    From position 0 on it is also checked that nothing follows the archive.

    Raises:
        MalformedError: A header is damaged, or the archive goes on after its end.
    """
    shared: dict[bytes, bytes] = {}
    at = start
    file.seek(at)
    while (header := _Reading(file, at, shared).header()) is not None:
        yield header
        at = header.end
        file.seek(at)
        if file.tell() < header.offset + header.stored:
            raise MalformedError(
                f"the archive ends at byte {file.tell()}, inside {shown(header.name)}"
            )
    if start:
        return
    while block := file.read(MAX_ARCHIVE_HEADER):
        if block.count(0) != len(block):
            raise MalformedError(
                f"the archive goes on after its end at byte {at}: several were joined, or it is "
                "damaged"
            )


class _Reading:
    """Reads the headers of one member: extended ones, its own, and a sparse map."""

    def __init__(self, file: HeaderSource, at: int, shared: dict[bytes, bytes]) -> None:
        self._file = file
        self._start = self._at = at
        self._shared = shared
        self._own: dict[bytes, bytes] = {}
        self._long: dict[bytes, bytes] = {}
        self._extents: Extents | None = None

    def header(self) -> TarHeader | None:
        """The member; None at the end of the archive."""
        for _ in range(_MAX_EXTENDED):
            self._at = self._file.tell()
            block = self._file.read(_BLOCK)
            if not any(block) and not self._own and not self._long:
                return None
            if len(block) < _BLOCK or not _is_sum_right(block):
                raise self._damaged()
            kind, size = block[156:157], self._number(block[124:136])
            if kind in b"LK":
                self._long[kind] = _text(self._body(size))
            elif kind == b"g":
                self._global(self._body(size))
            elif kind in b"xX":
                self._records(self._body(size), self._own)
            else:
                return self._member(block, kind, size)
        raise self._damaged()

    def _member(self, block: bytes, kind: bytes, size: int) -> TarHeader:
        fields = {**self._shared, **self._own}
        name = fields.get(b"path", self._long.get(b"L", _ustar_name(block)))
        size = length = self._decimal(fields, b"size", size)
        if kind == b"S":
            length = self._number(block[483:495])
            self._extents = self._old_map(block)
        elif kind in _REGULAR:
            name = fields.get(b"GNU.sparse.name", name)
            real = fields.get(b"GNU.sparse.realsize", fields.get(b"GNU.sparse.size"))
            if real is not None:
                length = self._digits(real)
            if fields.get(b"GNU.sparse.major") == b"1":
                self._extents, in_map = self._map_before_bytes()
                size -= in_map
            elif b"GNU.sparse.map" in fields:
                self._extents = self._pairs(fields[b"GNU.sparse.map"].split(b","))
        offset = self._file.tell()
        stored = 0 if kind in _NO_BYTES else size
        if not (0 <= stored <= MAX_LENGTH and 0 <= length <= MAX_LENGTH):
            raise self._damaged()
        if self._extents is not None:
            self._check(self._extents, length, stored)
        return TarHeader(
            start=self._start,
            offset=offset,
            stored=stored,
            end=offset + stored + -stored % _BLOCK,
            type=_type(kind, name),
            name=name,
            target=fields.get(b"linkpath", self._long.get(b"K", _text(block[157:257]))),
            mode=self._number(block[100:108]) & 0o7777,
            uid=self._decimal(fields, b"uid", self._number(block[108:116])),
            gid=self._decimal(fields, b"gid", self._number(block[116:124])),
            user=fields.get(b"uname", _text(block[265:297])),
            group=fields.get(b"gname", _text(block[297:329])),
            length=length if kind in _REGULAR else 0,
            mtime_ns=self._mtime(fields, block[136:148]),
            device=self._device(fields, block) if kind in b"34" else (0, 0),
            fields=fields,
            extents=self._extents,
        )

    def _body(self, size: int) -> bytes:
        """The bytes of an extended header, without padding."""
        if not 0 <= size <= MAX_ARCHIVE_HEADER - _BLOCK:
            raise self._damaged()
        body = self._file.read(size + -size % _BLOCK)
        if len(body) < size:
            raise self._damaged()
        return body[:size]

    def _global(self, body: bytes) -> None:
        """Takes fields that hold for all members from here on."""
        self._records(body, self._shared)
        sizes = sum(len(value) for value in self._shared.values())
        if len(self._shared) > MAX_GLOBAL_FIELDS or sizes > MAX_ARCHIVE_HEADER:
            raise self._damaged()
        if not self._own and not self._long:
            self._start = self._file.tell()

    def _records(self, body: bytes, fields: dict[bytes, bytes]) -> None:
        """Reads records of pax, each `LENGTH KEY=VALUE` and a line feed."""
        at = 0
        offsets: list[bytes] = []
        while at < len(body):
            space = body.find(b" ", at, at + 20)
            end = at + self._digits(body[at : max(space, at)])
            key, equals, value = body[space + 1 : end - 1].partition(b"=")
            if not equals or body[end - 1 : end] != b"\n":
                raise self._damaged()
            at = end
            if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
                offsets.append(value)
            elif value or key.startswith(_KEPT_EMPTY):
                fields[key] = value
            else:
                fields.pop(key, None)
        if offsets:
            self._extents = self._pairs(offsets)

    def _old_map(self, block: bytes) -> Extents:
        """The sparse map of a header of type S, which goes on in blocks after it."""
        found: Extents = []
        structs, goes_on = block[386:482], block[482]
        while True:
            for at in range(0, len(structs), _STRUCT):
                if not structs[at + _STRUCT // 2]:
                    break
                start = self._number(structs[at : at + _STRUCT // 2])
                found.append((start, self._number(structs[at + _STRUCT // 2 : at + _STRUCT])))
            if not goes_on:
                return found
            more = self._file.read(_BLOCK)
            if len(more) < _BLOCK or len(found) > MAX_SPARSE_EXTENTS:
                raise self._damaged()
            structs, goes_on = more[: 21 * _STRUCT], more[504]

    def _map_before_bytes(self) -> tuple[Extents, int]:
        """The sparse map of version 1.0, as lines before the bytes; and how many bytes it takes."""
        lines: list[bytes] = []
        rest, count, size = b"", 1, 0
        while len(lines) < count:
            block = self._file.read(_BLOCK)
            size += len(block)
            if len(block) < _BLOCK or len(rest) > _BLOCK:
                raise self._damaged()
            *whole, rest = (rest + block).split(b"\n")
            if size == _BLOCK and whole:
                count = 1 + 2 * self._digits(whole[0])
            if count > 2 * MAX_SPARSE_EXTENTS:
                raise self._damaged()
            lines += whole
        return self._pairs(lines[1:count]), size

    def _pairs(self, numbers: list[bytes]) -> Extents:
        values = [self._digits(number) for number in numbers]
        if len(values) % 2:
            raise self._damaged()
        return list(zip(values[::2], values[1::2], strict=True))

    def _check(self, extents: Extents, length: int, stored: int) -> None:
        """Checks that extents are in order, inside the file, and all that is stored."""
        at = 0
        for start, count in extents:
            if start < at or count < 0:
                raise self._damaged()
            at = start + count
        if at > length or sum(count for _, count in extents) != stored:
            raise self._damaged()

    def _number(self, field: bytes) -> int:
        """A number in octal digits, or in base 256 where the first bit is set."""
        if field[0] & 0x80:
            value = int.from_bytes(field, "big", signed=True)
            return value if field[0] & 0x40 else value + (1 << 8 * len(field) - 1)
        text = field.split(b"\0", 1)[0].strip()
        if text.strip(b"01234567"):
            raise self._damaged()
        return int(text or b"0", 8)

    def _decimal(self, fields: dict[bytes, bytes], key: bytes, default: int) -> int:
        return self._digits(fields[key]) if key in fields else default

    def _digits(self, text: bytes) -> int:
        if not text.isdigit() or len(text) > _MAX_DIGITS:
            raise self._damaged()
        return int(text)

    def _mtime(self, fields: dict[bytes, bytes], field: bytes) -> int:
        if b"mtime" not in fields:
            return self._number(field) * _NS
        found = _TIME.fullmatch(fields[b"mtime"])
        if found is None:
            raise self._damaged()
        minus, seconds, part = found.groups(b"")
        value = int(seconds) * _NS + int(part[:9].ljust(9, b"0"))
        return -value if minus else value

    def _device(self, fields: dict[bytes, bytes], block: bytes) -> tuple[int, int]:
        """Numbers of a device; those that ustar has no room for as star has them."""
        major, minor = self._number(block[329:337]), self._number(block[337:345])
        return (
            self._decimal(fields, b"SCHILY.devmajor", major),
            self._decimal(fields, b"SCHILY.devminor", minor),
        )

    def _damaged(self) -> MalformedError:
        return MalformedError(f"the header at byte {self._at} of the archive is damaged")


def _is_sum_right(block: bytes) -> bool:
    """Whether the checksum is right. Old programs added the bytes as signed numbers."""
    text = block[148:156].split(b"\0", 1)[0].strip()
    if not text or text.strip(b"01234567"):
        return False
    others = block[:148] + b" " * 8 + block[156:]
    difference = sum(others) - int(text, 8)
    return not difference or difference == 256 * sum(byte > 127 for byte in others)


def _type(kind: bytes, name: bytes) -> bytes:
    """The type as POSIX has it: v7 has folders as files whose names end at a slash."""
    if kind in _REGULAR:
        return b"5" if kind == b"\0" and name.endswith(b"/") else b"0"
    return kind


def _ustar_name(block: bytes) -> bytes:
    name = _text(block[:100])
    if block[257:263] != b"ustar\0":
        return name
    prefix = _text(block[345:476] if block[508:] == b"tar\0" else block[345:500])
    return prefix + b"/" + name if prefix else name


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]
