"""What a writer needs to know of a member before its bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from casync.archives.member import MemberKind, Special, shown
from casync.errors import SourceChangedError
from casync.ids import Buffer
from casync.sizes import format_count

__all__ = ["MemberWithBytes", "NewMember", "ExtendedMeta", "exact"]


class ExtendedMeta(NamedTuple):
    """What a member has from the machine that it comes from, and only some formats keep.

    Attributes:
        uid: The owner's number.
        gid: The group's number.
        user: The owner's name; empty if unknown.
        group: The group's name; empty if unknown.
        part_ns: Nanoseconds from the second of the member's time to its time.
        attributes: Extended attributes as (name, value).
    """

    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    part_ns: int = 0
    attributes: tuple[tuple[bytes, bytes], ...] = ()


class NewMember(NamedTuple):
    """A member to write.

    Attributes:
        path: The names on the way to it, joined by `/`; in tar empty for the folder of all members.
        kind: A file, a folder, a symbolic link; in tar a hard link, or `OTHER`.
        length: The bytes of a file; 0 for everything else.
        mode: Its permission bits, with setuid, setgid and sticky.
        mtime: When it was last changed, in seconds since 1970.
        target: What a symbolic link says, or the path of the member that a hard link leads to.
        extended: None for owner 0 and whole seconds, which give the same bytes on any machine.
        special: The device or pipe that a member of the kind `OTHER` is.
    """

    path: bytes
    kind: MemberKind = MemberKind.FILE
    length: int = 0
    mode: int = 0o644
    mtime: int = 0
    target: bytes = b""
    extended: ExtendedMeta | None = None
    special: Special | None = None


MemberWithBytes: TypeAlias = tuple[NewMember, Iterable[Buffer]]
"""A member and its bytes, in blocks of any size. Blocks are read once, before the next member."""


def exact(member: NewMember, content: Iterable[Buffer]) -> Iterator[Buffer]:
    """The bytes of a member, if they are as many as its header says.

    Raises:
        SourceChangedError: There are fewer or more.
    """
    count = 0
    for block in content:
        count += len(block)
        if count > member.length:
            break
        if block:
            yield block
    if count != member.length:
        more = "more" if count > member.length else format_count(count, "byte")
        raise SourceChangedError(
            f"{shown(member.path)} should have "
            f"{format_count(member.length, 'byte')}, but has {more}"
        )
