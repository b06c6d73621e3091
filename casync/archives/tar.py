"""Reads tar: v7, ustar, pax and GNU. Headers are read by `tarfile`, bytes of members never are.

The offsets of members are checked here, since a size may be negative or lead beyond the end; so is
that the archive goes on to zeros or to its very end, where `tarfile` stops at the first block that
is no header.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from casync.archives.byte_files import HeaderFile
from casync.archives.format import ByteReader
from casync.archives.member import SPARSE, Member, MemberKind, member_path
from casync.errors import IntegrityError, MalformedError, UnsupportedError
from casync.limits import MAX_GLOBAL_FIELDS

__all__ = ["Tar"]

_BLOCK: Final = tarfile.BLOCKSIZE
_KINDS: Final = {
    tarfile.DIRTYPE: MemberKind.FOLDER,
    tarfile.SYMTYPE: MemberKind.SYMLINK,
    tarfile.LNKTYPE: MemberKind.HARDLINK,
}


class Tar:
    """The format tar."""

    name = "tar"

    def scan(self, archive: ByteReader) -> Iterator[Member]:
        """All members in the order of the archive, but those whose names stand for no path.

        Raises:
            MalformedError: A header is damaged, or the archive ends early.
        """
        return _members(archive, 0)

    def check(self, archive: ByteReader, member: Member) -> None:
        """Compares what an index says of a member with its header.

        Raises:
            IntegrityError: The archive says otherwise.
        """
        try:
            there = next(_members(archive, member.header), None)
        except MalformedError as error:
            raise _wrong_index(member) from error
        if there is None or _place(there) != _place(member):
            raise _wrong_index(member)

    def read(self, archive: ByteReader, member: Member, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a part of a member.

        Raises:
            UnsupportedError: It is sparse.
            IntegrityError: The archive ends before.
        """
        if member.method == SPARSE:
            raise UnsupportedError(
                "sparse members of tar archives cannot be read",
                next_step="Extract the archive with tar, or make it without --sparse.",
            )
        left = end - start
        for block in archive.blocks(member.offset + start, member.offset + end):
            left -= len(block)
            yield block
        if left:
            raise IntegrityError(f"the archive ends inside {member.path.decode(errors='replace')}")


def _members(archive: ByteReader, start: int) -> Iterator[Member]:
    """The members from the header at an offset on."""
    at = start
    try:
        file = cast(BinaryIO, HeaderFile(archive, start))
        tar = tarfile.TarFile(fileobj=file, encoding="utf-8", errors="surrogateescape")
        while (info := _next(tar, at)) is not None:
            is_whole = info.isreg() and not info.issparse()
            reach = info.offset_data + info.size if is_whole else tar.offset - _BLOCK
            if info.size < 0 or tar.offset <= at or len(tar.pax_headers) > MAX_GLOBAL_FIELDS:
                raise MalformedError(f"the header at byte {at} of the archive is damaged")
            if reach > archive.length:
                raise MalformedError(
                    f"the archive ends at byte {archive.length}, inside {info.name!r}"
                )
            at = tar.offset
            try:
                yield _member(info)
            except MalformedError:
                continue  # its name stands for no path
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise MalformedError(f"this is no tar archive from byte {at} on: {error}") from error
    if any(archive.read(at, _BLOCK)):
        raise MalformedError(f"the header at byte {at} of the archive is damaged")
    for block in archive.blocks(at, archive.length if start == 0 else at):
        if block.count(0) != len(block):
            raise MalformedError(
                f"the archive goes on after its end at byte {at}: several were joined, or it is "
                "damaged"
            )


def _next(tar: tarfile.TarFile, at: int) -> tarfile.TarInfo | None:
    """The member whose header begins at an offset; None if there is no header."""
    file = tar.fileobj
    assert file is not None
    file.seek(at)
    try:
        return tarfile.TarInfo.fromtarfile(tar)
    except tarfile.HeaderError:
        return None


def _member(info: tarfile.TarInfo) -> Member:
    """What a header says.

    Raises:
        MalformedError: Its name stands for no path.
    """
    raw = info.name.encode(errors="surrogateescape")
    path = member_path(raw)
    kind = MemberKind.FILE if info.isreg() else _KINDS.get(info.type, MemberKind.OTHER)
    length = info.size if kind is MemberKind.FILE else 0
    return Member(
        path=path,
        kind=kind,
        header=info.offset,
        offset=info.offset_data,
        length=length,
        stored=length,
        method=SPARSE if info.issparse() else 0,
        mode=info.mode & 0o7777,
        mtime=int(info.mtime),
        raw=b"" if raw == path else raw,
        target=info.linkname.encode(errors="surrogateescape"),
    )


def _place(member: Member) -> tuple[object, ...]:
    return member.path, member.kind, member.offset, member.length, member.method, member.target


def _wrong_index(member: Member) -> IntegrityError:
    return IntegrityError(
        f"the index of the archive is wrong about {member.path.decode(errors='replace')}",
        next_step="Give --trust or --expect: then the index is made here.",
    )
