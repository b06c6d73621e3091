"""Appends to archives: what stays of the old one, and what is new.

A tar goes on where its last member ends. A zip goes on where its directory began, which then
follows with more records. A tgz that ends as ours do goes on with another gzip member; any other is
compressed again, once. MessagePack counts its pairs at its beginning, so that header is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import BinaryIO, Final, NamedTuple, TypeAlias

from msgspec.structs import replace

from casync.archives.format import ByteReader
from casync.archives.member import Member, MemberKind, member_path
from casync.archives.msgpack import map_header
from casync.archives.tar import tar_end
from casync.archives.writing.gzip_writer import DEFLATE_LEVEL, TGZ_END, gzip_member
from casync.archives.writing.msgpack_writer import msgpack_header, msgpack_map, msgpack_pairs
from casync.archives.writing.new_format import NewFormat
from casync.archives.writing.new_member import MemberWithBytes, NewMember
from casync.archives.writing.tar_writer import TAR_END, tar_header, tar_members, tar_size
from casync.archives.writing.zip_records import local_header, zip_mtime
from casync.archives.writing.zip_writer import ZipWriter
from casync.archives.zip import name_of
from casync.archives.zip_directory import Directory, entries, find_directory
from casync.errors import MalformedError
from casync.ids import Buffer
from casync.objects.kept import Kept

__all__ = ["Addition", "Growth", "OldArchive", "grow"]

_MAP_BYTES: Final = len(msgpack_map(0))
_ZIP_MODES: Final = {MemberKind.FOLDER: 0o755}
"""What readers of zip take for no mode, if it is not that of files."""

_Noted: TypeAlias = Callable[[Member], None]
_Pieces: TypeAlias = Iterator[Kept | Buffer]


class OldArchive(NamedTuple):
    """An archive that shall grow.

    Attributes:
        stored: Its bytes.
        plain: The same, decompressed.
        last: The header of its last member, or of an earlier one.
    """

    stored: ByteReader
    plain: ByteReader
    last: int


class Addition(NamedTuple):
    """What shall be added to it.

    Attributes:
        members: The new members.
        files: How many of them are files.
        replaced: The old members that have the path of a new one.
    """

    members: Iterable[MemberWithBytes]
    files: int
    replaced: Sequence[Member]


class Growth(NamedTuple):
    """How an archive grows.

    Attributes:
        pieces: The new archive, in order. Read it once.
        stored: How many of the old bytes it begins with.
        plain: How many of the old plain bytes.
        moves: Whether old members lie elsewhere in it.
    """

    pieces: _Pieces
    stored: int
    plain: int
    moves: bool = False


def grow(
    made: NewFormat, old: OldArchive, addition: Addition, spool: BinaryIO, noted: _Noted
) -> Growth:
    """Adds members to an archive.

    Args:
        made: Its format.
        old: The archive.
        addition: The new members. In tar they hide replaced ones; from the directory of zip, and
            from MessagePack, these are dropped.
        spool: An empty file, which takes new records of the directory of a zip.
        noted: Takes each new member when its place is known.

    Raises:
        MalformedError: The archive is damaged.
        UsageError: The format has no room for a member.
        SourceChangedError: A member has more or fewer bytes than announced.
        CasyncError: What reading the members raises.
    """
    match made:
        case NewFormat.TAR:
            return _grow_tar(old, addition.members, noted)
        case NewFormat.TGZ:
            return _grow_tgz(old, addition.members, noted)
        case NewFormat.ZIP:
            return _grow_zip(old.stored, addition, spool, noted)
        case NewFormat.MSGPACK:
            return _grow_msgpack(old.stored, addition, noted)


def _grow_tar(old: OldArchive, members: Iterable[MemberWithBytes], noted: _Noted) -> Growth:
    end = _end(old)

    def pieces() -> _Pieces:
        yield Kept(0, min(end, old.stored.length))
        yield bytes(max(end - old.stored.length, 0))  # the last block was not full
        yield from chain.from_iterable(_tar_members(members, end, noted))
        yield TAR_END

    return Growth(pieces(), end, end)


def _grow_tgz(old: OldArchive, members: Iterable[MemberWithBytes], noted: _Noted) -> Growth:
    end = _end(old)
    stored = old.stored.length - len(TGZ_END)
    is_ours = (
        end + len(TAR_END) == old.plain.length and old.stored.read(stored, len(TGZ_END)) == TGZ_END
    )

    def pieces() -> _Pieces:
        before: Iterable[Iterable[Buffer]] = ()
        if is_ours:
            yield Kept(0, stored)
        else:
            blocks = old.plain.blocks(0, end)
            padding = bytes(max(end - old.plain.length, 0))
            before = ([block] for block in chain(blocks, [padding]))
        yield from gzip_member(chain(before, _tar_members(members, end, noted)), DEFLATE_LEVEL)
        yield TGZ_END

    return Growth(pieces(), stored, end, moves=not is_ours)


def _end(old: OldArchive) -> int:
    """Where the members of a tar end. An index that is wrong costs a walk over all of them."""
    try:
        return tar_end(old.plain, old.last)
    except MalformedError:
        return tar_end(old.plain)


def _tar_members(
    members: Iterable[MemberWithBytes], at: int, noted: _Noted
) -> Iterator[Iterator[Buffer]]:
    def placed() -> Iterator[MemberWithBytes]:
        nonlocal at
        for new, content in members:
            noted(_member(new, at, at + len(tar_header(new))))
            at += tar_size(new)
            yield new, content

    return tar_members(placed())


def _grow_zip(archive: ByteReader, addition: Addition, spool: BinaryIO, noted: _Noted) -> Growth:
    directory = find_directory(archive)
    if directory is None:
        raise MalformedError("the zip archive has no directory at its end")
    replaced = {one.path for one in addition.replaced}

    def pieces() -> _Pieces:
        writer = ZipWriter(spool, offset=directory.start - directory.shift)
        yield Kept(0, directory.start)
        for new, content in addition.members:
            yield from writer.member(new, content)
            written = writer.written
            header = written.offset + directory.shift
            member = _member(new, header, header + len(local_header(written)))
            noted(
                replace(
                    member,
                    mode=member.mode or _ZIP_MODES.get(new.kind, 0o644),
                    length=written.length,
                    stored=written.stored,
                    method=written.method,
                    crc=written.crc,
                    mtime=zip_mtime(new.mtime),
                    raw=new.path + b"/" if new.kind is MemberKind.FOLDER else b"",
                )
            )
        kept, count = _kept_records(archive, directory, replaced)
        yield from kept
        size = sum(one.end - one.start for one in kept)
        yield from writer.end(count=count, size=size, comment=directory.comment)

    return Growth(pieces(), directory.start, directory.start)


def _kept_records(
    archive: ByteReader, directory: Directory, replaced: set[bytes]
) -> tuple[list[Kept], int]:
    """The records of a directory but those of replaced members, and how many there are."""
    if not replaced:
        return [Kept(directory.start, directory.end)], directory.members
    dropped = [
        Kept(entry.start, entry.end)
        for entry in entries(archive, directory)
        if _path(entry.name) in replaced
    ]
    kept = _without(dropped, directory.start, directory.end)
    return kept, directory.members - len(dropped)


def _path(name: bytes) -> bytes | None:
    try:
        return member_path(name_of(name))
    except MalformedError:
        return None


def _grow_msgpack(archive: ByteReader, addition: Addition, noted: _Noted) -> Growth:
    old_count, start = map_header(archive.read(0, _MAP_BYTES))
    dropped = [Kept(one.header, one.offset + one.length) for one in addition.replaced]
    kept = _without(sorted(dropped), start, archive.length)
    header = msgpack_map(old_count - len(dropped) + addition.files)
    size = len(header) + sum(one.end - one.start for one in kept)

    def placed() -> Iterator[MemberWithBytes]:
        at = size
        for new, content in addition.members:
            offset = at + len(msgpack_header(new))
            noted(replace(_member(new, at, offset), mode=0o644, mtime=0))
            at = offset + new.length
            yield new, content

    def pieces() -> _Pieces:
        yield header
        yield from kept
        yield from msgpack_pairs(addition.files, placed())

    return Growth(pieces(), size, size, moves=bool(dropped) or start != len(header))


def _without(dropped: Iterable[Kept], start: int, end: int) -> list[Kept]:
    """The parts of a range that are left; `dropped` are in order."""
    left: list[Kept] = []
    for one in dropped:
        left.append(Kept(start, one.start))
        start = one.end
    left.append(Kept(start, end))
    return [one for one in left if one.start < one.end]


def _member(new: NewMember, header: int, offset: int) -> Member:
    """A new member as readers find it."""
    return Member(
        path=new.path,
        kind=new.kind,
        header=header,
        offset=offset,
        length=new.length,
        stored=new.length,
        mode=new.mode & 0o7777,
        mtime=new.mtime,
        target=new.target,
    )
