"""Reads access control lists that tar has as text, as the attributes that Linux has for them.

GNU tar writes `SCHILY.acl.access` and `SCHILY.acl.default` in lines, libarchive with commas and
with the number after each name (star(5), "ACL"). The attributes are those of
linux/posix_acl_xattr.h: a version, and entries of a tag, permissions and a number.
"""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple, Protocol

from casync.errors import MalformedError

__all__ = ["ACL_ATTRIBUTES", "NO_OWNERS", "AccessList", "Owners", "access_list"]

ACL_ATTRIBUTES: Final = {
    b"SCHILY.acl.access": b"system.posix_acl_access",
    b"SCHILY.acl.default": b"system.posix_acl_default",
}
"""The attribute that stands for each field of pax."""

_HEAD: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<HHI")
_VERSION: Final = 2
_NO_ID: Final = 0xFFFFFFFF
_OWNER, _USER, _GROUP, _NAMED_GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32
_TAGS: Final = {"user": _OWNER, "group": _GROUP, "mask": _MASK, "other": _OTHER}
_NAMED: Final = {_OWNER: _USER, _GROUP: _NAMED_GROUP}
_BITS: Final = {"r": 4, "w": 2, "x": 1, "-": 0}
_MAX_ENTRIES: Final = 8192
"""As many as the 64 KiB of an attribute hold."""


class Owners(Protocol):
    """Knows the numbers of users and groups."""

    def user(self, name: str) -> int | None:
        """The number of a user; None if it is unknown."""
        ...

    def group(self, name: str) -> int | None:
        """The number of a group; None if it is unknown."""
        ...


class _NoOwners:
    def user(self, name: str) -> int | None:
        return None

    def group(self, name: str) -> int | None:
        return None


NO_OWNERS: Final[Owners] = _NoOwners()
"""Knows none."""


class AccessList(NamedTuple):
    """An access control list.

    Attributes:
        attribute: The value of the attribute; empty if the mode says the same.
        mode: The nine permission bits that a file with it has.
    """

    attribute: bytes
    mode: int


class _Entry(NamedTuple):
    tag: int
    number: int
    bits: int


def access_list(text: bytes, owners: Owners, *, is_default: bool = False) -> AccessList:
    """Reads a list.

    Args:
        text: The list.
        owners: Gives the numbers of names that have none in the list. Entries of others are left
            out: those whom they would let in are not known here.
        is_default: Whether it is that of new files in a folder, which the mode never says.

    Raises:
        MalformedError: It is no list, or lacks the owner, the group or the others.
    """
    entries: set[_Entry] = set()
    lines = [one.partition("#")[0].strip() for one in re.split(r"[\n,]", _decoded(text))]
    if len(lines) > _MAX_ENTRIES:
        raise _malformed()
    for line in filter(None, lines):
        entry = _entry(line.removeprefix("default:"), owners)
        if entry is not None:
            entries.add(entry)
    bits = {entry.tag: entry.bits for entry in entries}
    keys = {(entry.tag, entry.number) for entry in entries}
    has_names = bool({_USER, _NAMED_GROUP} & bits.keys())
    if not {_OWNER, _GROUP, _OTHER} <= bits.keys() or len(keys) < len(entries):
        raise _malformed()
    if has_names and _MASK not in bits:
        raise _malformed()
    mode = bits[_OWNER] << 6 | bits.get(_MASK, bits[_GROUP]) << 3 | bits[_OTHER]
    if not is_default and bits.keys() == {_OWNER, _GROUP, _OTHER}:
        return AccessList(b"", mode)
    packed = b"".join(_ENTRY.pack(one.tag, one.bits, one.number) for one in sorted(entries))
    return AccessList(_HEAD.pack(_VERSION) + packed, mode)


def _entry(line: str, owners: Owners) -> _Entry | None:
    """One entry: `TAG:NAME:PERMISSIONS`, and perhaps the number of the name."""
    word, *fields = (field.strip() for field in line.split(":"))
    tag = next((tag for whole, tag in _TAGS.items() if word in (whole, whole[0])), None)
    if tag in (_MASK, _OTHER) and len(fields) == 1:
        fields.insert(0, "")
    if tag is None or not 2 <= len(fields) <= 3:
        raise _malformed()
    name, permissions, *number = fields
    if len(permissions) > 3 or not set(permissions) <= _BITS.keys():
        raise _malformed()
    bits = sum({_BITS[one] for one in permissions})
    if not name:
        return _Entry(tag, _NO_ID, bits)
    if tag not in _NAMED:
        raise _malformed()
    said = number[0] if number else name
    ident: int | None
    if said.isascii() and said.isdigit():
        ident = int(said) if len(said) <= 10 else _NO_ID
    else:
        ident = owners.user(name) if tag == _OWNER else owners.group(name)
    if ident is None:
        return None
    if ident >= _NO_ID:
        raise _malformed()
    return _Entry(_NAMED[tag], ident, bits)


def _decoded(text: bytes) -> str:
    return text.decode(errors="surrogateescape")


def _malformed() -> MalformedError:
    return MalformedError("an access control list in the archive is malformed")
