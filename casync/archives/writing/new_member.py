"""What a writer needs to know of a member before its bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from casync.archives.member import MemberKind
from casync.errors import SourceChangedError
from casync.ids import Buffer
from casync.sizes import format_count

__all__ = ["MemberWithBytes", "NewMember", "exact"]


class NewMember(NamedTuple):
    """A member to write. Owners are not written: they are 0 in all archives.

    Attributes:
        path: The names on the way to it, joined by `/`.
        kind: A file, a folder, a symbolic link, or in tar a hard link.
        length: The bytes of a file; 0 for everything else.
        mode: Its permission bits, with setuid, setgid and sticky.
        mtime: When it was last changed, in seconds since 1970.
        target: What a symbolic link says, or the path of the member that a hard link leads to.
    """

    path: bytes
    kind: MemberKind = MemberKind.FILE
    length: int = 0
    mode: int = 0o644
    mtime: int = 0
    target: bytes = b""


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
            f"{member.path.decode(errors='replace')} should have "
            f"{format_count(member.length, 'byte')}, but has {more}"
        )
