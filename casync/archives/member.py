"""A member of an archive: what is known of it without its bytes."""

from __future__ import annotations

import enum
from typing import Final, Literal, NamedTuple

import msgspec

from casync.errors import MalformedError, UsageError

__all__ = [
    "DEFLATED",
    "ENCRYPTED",
    "SPARSE",
    "STORED",
    "Member",
    "MemberKind",
    "Special",
    "is_whole",
    "member_path",
    "place_of_text",
    "shown",
]

STORED: Final = 0
DEFLATED: Final = 8
"""Methods, in the numbers of zip."""

SPARSE: Final = 1 << 16
"""The method of sparse members of tar."""

ENCRYPTED: Final = 1 << 17
"""Added to the method of an encrypted member."""


class MemberKind(enum.IntEnum):
    """What a member is. Only files have bytes of their own."""

    FILE = 0
    FOLDER = 1
    SYMLINK = 2
    HARDLINK = 3
    OTHER = 4


class Special(NamedTuple):
    """A device or a pipe, with the numbers of the device."""

    kind: Literal["pipe", "block", "character"]
    major: int = 0
    minor: int = 0


class Member(msgspec.Struct, frozen=True, array_like=True):
    """Where a member lies in its archive.

    Offsets count in the plain archive: in a compressed tar, in what it decompresses to.

    Attributes:
        path: The names on the way to it, joined by `/`, as `REF:MEMBER` says it.
        kind: What it is.
        header: The offset of its header, by which its place is checked.
        offset: The offset of its bytes.
        length: Its plain bytes.
        stored: The bytes that it takes in the archive.
        method: How its bytes are stored: a number of zip, or one of those above.
        crc: The CRC-32 of its plain bytes, where the format has one.
        mode: Its permission bits.
        mtime: When it was last changed, in seconds since 1970.
        raw: Its name as the archive has it; empty where that is `path`.
        target: What a link leads to.
        shadowed: Whether a later member has the same path, and so is what the path leads to.
    """

    path: bytes
    kind: MemberKind
    header: int
    offset: int
    length: int
    stored: int
    method: int = 0
    crc: int | None = None
    mode: int = 0o644
    mtime: int = 0
    raw: bytes = b""
    target: bytes = b""
    shadowed: bool = False


def member_path(raw: bytes) -> bytes:
    """The path that a name in an archive stands for: `./a//b/` and `/a/b` are `a/b`.

    Raises:
        MalformedError: The name is empty, leads out of the archive, or has a NUL.
    """
    names = [name for name in raw.split(b"/") if name not in (b"", b".")]
    if not names or b".." in names or b"\0" in raw:
        raise MalformedError(f"the archive has a member with the name {shown(raw)}")
    return b"/".join(names)


def is_whole(name: bytes) -> bool:
    """Whether a name is that of the folder of the whole archive: `.`, `./` or `/`."""
    return bool(name) and not name.strip(b"./") and b".." not in name


def place_of_text(text: str) -> bytes:
    """The path of a new member, as people type it.

    Raises:
        UsageError: It is empty, or leads out of the archive.
    """
    try:
        return member_path(text.encode(errors="surrogateescape"))
    except MalformedError as error:
        raise UsageError(f"a member cannot have the path {text or 'of no characters'}") from error


def shown(name: bytes) -> str:
    """A name or a path in messages, which escape it where they are shown."""
    return name.decode(errors="surrogateescape")
