"""A tree as members of an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

from casync.access.content_file import read_range
from casync.access.outline import Outline
from casync.access.tree_load import Tree
from casync.archives.member import MemberKind, Special
from casync.archives.writing.new_member import ExtendedMeta, NewMember
from casync.ids import Buffer
from casync.limits import MIB
from casync.objects.manifest import Manifest
from casync.objects.node import Content
from casync.objects.tree import Device, Entry, File, Folder, Link, Pipe
from casync.store.base import ObjectSource

__all__ = ["ReadPart", "ReadableMember", "content_reader", "member_of", "members_of_tree"]

_NODES: Final = 8
"""Decoded nodes of a file that are kept: a path through all levels."""

_AHEAD: Final = MIB
"""Plain bytes of a file that are read at a time; a server has many readers."""

_NS: Final = 1_000_000_000

ReadPart: TypeAlias = Callable[[int, int], Iterator[Buffer]]
"""Reads the bytes of a member from an offset up to another."""


class ReadableMember(NamedTuple):
    """A member, and how its bytes are read.

    Attributes:
        member: The member.
        read: Reads a part of it.
    """

    member: NewMember
    read: ReadPart

    def content(self) -> Iterator[Buffer]:
        """All of its bytes."""
        return self.read(0, self.member.length)


def members_of_tree(
    tree: Tree,
    source: ObjectSource,
    kinds: frozenset[MemberKind],
    *,
    prefix: bytes = b"",
    below: bytes = b"",
    is_whole: bool = False,
) -> Iterator[ReadableMember]:
    """The entries of a tree, in its order, a folder before what it holds.

    A hard link is a file of its own where the format has no hard links, or where what it leads to
    is left out.

    Args:
        tree: The tree.
        source: Has the chunks of its files.
        kinds: The kinds of members that the archive has room for.
        prefix: How the paths in the tree of all members begin.
        below: What is put before all paths.
        is_whole: Whether members have all that the tree has: owners, exact times, attributes; and
            devices, pipes and the folder itself are members too, if the format has devices. The
            bytes are the same on any machine otherwise.

    Raises:
        NoObjectError, IntegrityError: An object is missing or damaged. Earlier members are good.
    """

    def pass_over(path: bytes, _: Folder) -> bool:
        inside = path + b"/"
        return not inside.startswith(prefix) and not prefix.startswith(inside)

    if not is_whole:
        kinds -= {MemberKind.OTHER}
    for path, entry, _ in tree.tour(pass_over if prefix else None):
        if entry is None or not path.startswith(prefix):
            continue
        if not path and MemberKind.OTHER not in kinds:
            continue
        member = member_of(below + path, entry)
        if is_whole:
            member = _with_extended(member, entry)
        first = _first(entry, is_whole) if MemberKind.HARDLINK in kinds else None
        if first is not None and first.startswith(prefix):
            target = below + first
            member = member._replace(
                kind=MemberKind.HARDLINK, length=0, target=target, special=None
            )
        if member.kind in kinds:
            content = entry.content if isinstance(entry, File) else None
            yield ReadableMember(member, _reader(tree, source, content))


def _first(entry: Entry, is_whole: bool) -> bytes | None:
    """The path of what an entry is a hard link to; of links and devices only for a whole tree."""
    if isinstance(entry, Folder) or not (is_whole or isinstance(entry, File)):
        return None
    return entry.first


def member_of(path: bytes, entry: Entry) -> NewMember:
    """An entry of a tree as a member, but without hard links and extended metadata."""
    kind, length, target = MemberKind.OTHER, 0, b""
    match entry:
        case Folder():
            kind = MemberKind.FOLDER
        case File():
            kind, length = MemberKind.FILE, entry.content.length
        case Link():
            kind, target = MemberKind.SYMLINK, entry.target
    return NewMember(path, kind, length, entry.meta.mode, entry.meta.mtime_ns // _NS, target)


def _with_extended(member: NewMember, entry: Entry) -> NewMember:
    meta, special = entry.meta, None
    match entry:
        case Device(block=block, major=major, minor=minor):
            special = Special("block" if block else "character", major, minor)
        case Pipe():
            special = Special("pipe")
    part_ns = meta.mtime_ns % _NS
    extended = ExtendedMeta(meta.uid, meta.gid, meta.user, meta.group, part_ns, meta.attributes)
    return member._replace(extended=extended, special=special)


def _reader(tree: Tree, source: ObjectSource, content: Content | None) -> ReadPart:
    if content is None:
        return lambda _start, _end: iter(())
    return content_reader(
        lambda: Outline(
            tree.id, Manifest("file", tree.params, content), source, cached_nodes=_NODES
        ),
        source,
    )


def content_reader(outline: Callable[[], Outline], source: ObjectSource) -> ReadPart:
    """Reads parts of the content of an outline, which is opened when it is needed."""
    return lambda start, end: read_range(outline(), source, start, end, ahead=_AHEAD)
