"""Writes tar: ustar headers, and a pax header before those that ustar has no room for.

Extended attributes, ACLs among them, are fields `SCHILY.xattr.NAME`, as GNU tar and star have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from casync.archives.member import MemberKind
from casync.archives.writing.new_member import ExtendedMeta, MemberWithBytes, NewMember, exact
from casync.errors import UsageError
from casync.ids import Buffer
from casync.limits import MAX_ARCHIVE_HEADER

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
_SPECIAL: Final = {"character": b"3", "block": b"4", "pipe": b"6"}

_WHOLE: Final = b"./"
"""The name of the folder that all members lie in."""

_NAME: Final = 100
_PREFIX: Final = 155
_MAX_OCTAL: Final = 8**11 - 1
"""The largest number in a field of 11 octal digits: 8 GiB - 1, and the year 2242."""

_OWNER: Final = 31
"""Bytes of an owner's name."""

_MAX_SMALL: Final = 8**7 - 1
"""The largest number in a field of 7 octal digits."""

_NS: Final = 1_000_000_000
_PLAIN: Final = ExtendedMeta()

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
        UsageError: Tar has no such kind of member, or no reader takes a header of this size.
    """
    label = member.path.decode(errors="surrogateescape")
    kind = _TYPES.get(member.kind) if member.special is None else _SPECIAL[member.special.kind]
    if kind is None:
        raise UsageError(f"tar has no room for {label}")
    path = member.path
    if member.kind is MemberKind.FOLDER:
        path = path + b"/" if path else _WHOLE
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
    meta = member.extended or _PLAIN
    if meta.part_ns or not 0 <= mtime <= _MAX_OCTAL:
        pax[b"mtime"] = _seconds(mtime, meta.part_ns)
        mtime = mtime if 0 <= mtime <= _MAX_OCTAL else 0
    device = (0, 0) if member.special is None else member.special[1:]
    header = _ustar(
        name[:_NAME],
        prefix,
        kind,
        member.target[:_NAME],
        mode=member.mode & 0o7777,
        owners=(_small(b"uid", meta.uid, pax), _small(b"gid", meta.gid, pax)),
        size=size,
        mtime=mtime,
        names=(_owner(b"uname", meta.user, pax), _owner(b"gname", meta.group, pax)),
        device=(
            _small(b"SCHILY.devmajor", device[0], pax),
            _small(b"SCHILY.devminor", device[1], pax),
        ),
    )
    for key, value in meta.attributes:
        pax[b"SCHILY.xattr." + key.replace(b"%", b"%25").replace(b"=", b"%3D")] = value
    if not pax:
        return header
    extended = _pax_header(pax)
    if len(extended) > MAX_ARCHIVE_HEADER:
        raise UsageError(f"tar has no room for the extended attributes of {label}")
    return extended + header


def _split(path: bytes) -> tuple[bytes, bytes]:
    """A path as prefix and name of ustar. The name is too long where it does not fit."""
    if len(path) <= _NAME:
        return b"", path
    at = path.find(b"/", max(len(path) - _NAME - 1, 1))
    if 0 < at <= _PREFIX and at + 1 < len(path):
        return path[:at], path[at + 1 :]
    return b"", path


def _seconds(seconds: int, part_ns: int) -> bytes:
    """A time as pax has it: a minus sign holds for the seconds and for their part."""
    if not part_ns:
        return b"%d" % seconds
    whole, part = divmod(abs(seconds * _NS + part_ns), _NS)
    return b"%s%d.%s" % (b"-" if seconds < 0 else b"", whole, (b"%09d" % part).rstrip(b"0"))


def _small(key: bytes, number: int, pax: dict[bytes, bytes]) -> int:
    """The number for a field of 7 octal digits; a larger one becomes a field of pax."""
    if number <= _MAX_SMALL:
        return number
    pax[key] = b"%d" % number
    return 0


def _owner(key: bytes, name: str, pax: dict[bytes, bytes]) -> bytes:
    """The name for a field of ustar; one that it has no room for becomes a field of pax."""
    if not name.isprintable():
        return b""
    if name.isascii() and len(name) <= _OWNER:
        return name.encode()
    pax[key] = name.encode()
    return b""


def _ustar(
    name: bytes,
    prefix: bytes,
    kind: bytes,
    target: bytes,
    *,
    mode: int,
    size: int,
    mtime: int = 0,
    owners: tuple[int, int] = (0, 0),
    names: tuple[bytes, bytes] = (b"", b""),
    device: tuple[int, int] = (0, 0),
) -> bytes:
    """A block of ustar, with its checksum."""
    block = bytearray(_BLOCK)
    block[: len(name)] = name
    block[100:148] = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, *owners, size, mtime)
    block[148:156] = b"        "
    block[156:157] = kind
    block[157 : 157 + len(target)] = target
    block[257:265] = b"ustar\x0000"
    for at, owner in zip((265, 297), names, strict=True):
        block[at : at + len(owner)] = owner
    block[329:345] = b"%07o\0%07o\0" % device
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _pax_header(fields: dict[bytes, bytes]) -> bytes:
    body = b"".join(_record(key, value) for key, value in fields.items())
    header = _ustar(_PAX_NAME, b"", b"x", b"", mode=0o644, size=len(body))
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
