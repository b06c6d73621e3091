"""Writes tar: ustar headers, and a pax header before those that ustar has no room for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from casync.archives.member import MemberKind
from casync.archives.writing.new_member import MemberWithBytes, NewMember, exact
from casync.errors import UsageError
from casync.ids import Buffer

__all__ = ["TAR_END", "tar_header", "tar_members", "tar_padding", "tar_size", "write_tar"]

_BLOCK: Final = 512

TAR_END: Final = bytes(2 * _BLOCK)
"""The end of an archive: two blocks of zeros, as POSIX says."""

_TYPES: Final = {
    MemberKind.FILE: b"0",
    MemberKind.HARDLINK: b"1",
    MemberKind.SYMLINK: b"2",
    MemberKind.FOLDER: b"5",
}
_NAME: Final = 100
_PREFIX: Final = 155
_MAX_OCTAL: Final = 8**11 - 1
"""The largest number in a field of 11 octal digits: 8 GiB - 1, and the year 2242."""

_PAX_NAME: Final = b"././@PaxHeader"


def write_tar(members: Iterable[MemberWithBytes]) -> Iterator[Buffer]:
    """An archive of members, in their order.

    Raises:
        SourceChangedError: A member has more or fewer bytes than announced.
        UsageError: Tar has no such kind of member.
        CasyncError: What reading the members raises.
    """
    yield from chain.from_iterable(tar_members(members))
    yield TAR_END


def tar_members(members: Iterable[MemberWithBytes]) -> Iterator[Iterator[Buffer]]:
    """Each member by itself: header, bytes and padding. Use it up before the next one.

    Raises:
        CasyncError: As `write_tar`.
    """
    for member, content in members:
        yield _tar_member(member, content)


def _tar_member(member: NewMember, content: Iterable[Buffer]) -> Iterator[Buffer]:
    yield tar_header(member)
    yield from exact(member, content)
    if member.length % _BLOCK:
        yield tar_padding(member.length)


def tar_padding(length: int) -> bytes:
    """The zeros after this many bytes of content."""
    return bytes(-length % _BLOCK)


def tar_size(member: NewMember) -> int:
    """Bytes that a member takes in the archive."""
    return len(tar_header(member)) + member.length + -member.length % _BLOCK


def tar_header(member: NewMember) -> bytes:
    """The header of a member, with its pax header if it needs one.

    Raises:
        UsageError: Tar has no such kind of member.
    """
    kind = _TYPES.get(member.kind)
    if kind is None:
        raise UsageError(f"tar has no room for {member.path.decode(errors='replace')}")
    path = member.path + b"/" if member.kind is MemberKind.FOLDER else member.path
    pax: dict[bytes, bytes] = {}
    prefix, name = _split(path)
    if len(name) > _NAME:
        pax[b"path"] = path
    if len(member.target) > _NAME:
        pax[b"linkpath"] = member.target
    if any(not _is_utf8(value) for value in pax.values()):
        pax = {b"hdrcharset": b"BINARY", **pax}
    size, mtime = member.length, member.mtime
    if size > _MAX_OCTAL:
        pax[b"size"], size = b"%d" % size, 0
    if not 0 <= mtime <= _MAX_OCTAL:
        pax[b"mtime"], mtime = b"%d" % mtime, 0
    header = _ustar(name[:_NAME], prefix, member.mode, size, mtime, kind, member.target[:_NAME])
    return _pax_header(pax) + header if pax else header


def _split(path: bytes) -> tuple[bytes, bytes]:
    """A path as prefix and name of ustar. The name is too long where it does not fit."""
    if len(path) <= _NAME:
        return b"", path
    at = path.find(b"/", max(len(path) - _NAME - 1, 1))
    if 0 < at <= _PREFIX and at + 1 < len(path):
        return path[:at], path[at + 1 :]
    return b"", path


def _ustar(
    name: bytes, prefix: bytes, mode: int, size: int, mtime: int, kind: bytes, target: bytes
) -> bytes:
    """A block of ustar, with its checksum."""
    block = bytearray(_BLOCK)
    block[: len(name)] = name
    block[100:148] = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode & 0o7777, 0, 0, size, mtime)
    block[148:156] = b"        "
    block[156:157] = kind
    block[157 : 157 + len(target)] = target
    block[257:265] = b"ustar\x0000"
    block[329:345] = b"%07o\0%07o\0" % (0, 0)
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _pax_header(fields: dict[bytes, bytes]) -> bytes:
    body = b"".join(_record(key, value) for key, value in fields.items())
    header = _ustar(_PAX_NAME, b"", 0o644, len(body), 0, b"x", b"")
    return header + body + tar_padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    """A record of a pax header: its own length in decimal comes first, and counts itself."""
    rest = b" %s=%s\n" % (key, value)
    length = len(rest)
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
