"""A member with all that its archive says of it, and with its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from casync.archives.member import MemberKind, Special, is_whole, member_path
from casync.errors import MalformedError

__all__ = ["MemberBlock", "RefusedMember", "UnpackedMember", "unpacked_path"]

MemberBlock: TypeAlias = bytes | int
"""Bytes of a member, or a number of zero bytes that the archive does not hold."""


class UnpackedMember(NamedTuple):
    """A member of an archive.

    Attributes:
        path: The names on the way to it, joined by `/`; empty for the folder of the whole archive.
        kind: What it is; `OTHER` for what `special` says.
        mode: Its permission bits, with setuid, setgid and sticky.
        mtime_ns: When it was last changed, in nanoseconds since 1970.
        length: The bytes of a file.
        blocks: They, in order. They are read before the next member is asked for, or not at all.
        target: What a symbolic link says, or the path of the member that a hard link leads to.
        uid: The owner's number.
        gid: The group's number.
        user: The owner's name; empty if unknown.
        group: The group's name; empty if unknown.
        attributes: Extended attributes as (name, value), sorted by name.
        special: What a device or a pipe is.
    """

    path: bytes
    kind: MemberKind
    mode: int
    mtime_ns: int
    length: int = 0
    blocks: Iterator[MemberBlock] = iter(())
    target: bytes = b""
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    attributes: tuple[tuple[bytes, bytes], ...] = ()
    special: Special | None = None


class RefusedMember(NamedTuple):
    """A member that cannot be a file in a folder: its name as the archive has it, and why."""

    name: bytes
    reason: str


def unpacked_path(name: bytes, kind: MemberKind) -> bytes:
    """The path that a name stands for; empty for `./` and other names of the whole archive.

    Raises:
        MalformedError: The name is empty, leads out of the archive, or has a NUL.
    """
    if kind is MemberKind.FOLDER and is_whole(name):
        return b""
    try:
        return member_path(name)
    except MalformedError as error:
        raise MalformedError("its name leads out of the archive, or is empty") from error
