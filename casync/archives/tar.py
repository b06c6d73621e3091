"""Reads tar: v7, ustar, pax and GNU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from casync.archives.byte_files import HeaderFile
from casync.archives.format import IGNORE, ByteReader, Refuse
from casync.archives.member import SPARSE, Member, MemberKind, is_whole, member_path, shown
from casync.archives.tar_headers import HeaderSource, TarHeader, tar_headers
from casync.errors import IntegrityError, MalformedError, UnsupportedError
from casync.objects.tree import bounded_time

__all__ = ["LABEL", "Tar", "kind_of", "members_forwards", "tar_end"]

_NS: Final = 1_000_000_000
_KINDS: Final = {
    b"0": MemberKind.FILE,
    b"1": MemberKind.HARDLINK,
    b"2": MemberKind.SYMLINK,
    b"5": MemberKind.FOLDER,
    b"D": MemberKind.FOLDER,  # of an incremental dump of GNU tar, with a list of names as bytes
}

LABEL: Final = b"V"
"""The type of the label of a volume, which is no member."""


class Tar:
    """The format tar."""

    name = "tar"

    def scan(self, archive: ByteReader, refuse: Refuse = IGNORE) -> Iterator[Member]:
        """All members in the order of the archive, but those whose names stand for no path.

        Args:
            archive: The archive.
            refuse: Called with each such name.

        Raises:
            MalformedError: A header is damaged, or the archive ends early.
        """
        return _members(_headers(archive, 0), refuse)

    def check(self, archive: ByteReader, member: Member) -> None:
        """Compares what an index says of a member with its header.

        Raises:
            IntegrityError: The archive says otherwise.
        """
        try:
            there = next(_members(_headers(archive, member.header), IGNORE), None)
        except MalformedError as error:
            raise _wrong_index(member) from error
        if there is None or _place(there) != _place(member):
            raise _wrong_index(member)

    def proves(self, archive: ByteReader, member: Member) -> bool:
        """True: `check` has compared the length."""
        return True

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
            raise IntegrityError(f"the archive ends inside {shown(member.path)}")


def members_forwards(file: HeaderSource, refuse: Refuse) -> Iterator[Member]:
    """All members of an archive that is read once, forwards, up to its end.

    Raises:
        MalformedError: As `Tar.scan`.
    """
    return _members(tar_headers(file), refuse)


def tar_end(archive: ByteReader, start: int = 0) -> int:
    """Where the members of an archive end: there the next one may begin.

    Args:
        archive: The archive.
        start: The headers of a member, from which to go on to the end.

    Raises:
        MalformedError: The archive is damaged from there on, or goes on after its end.
    """
    end = start
    for header in _headers(archive, start):
        end = header.end
    for block in archive.blocks(end, archive.length):
        if block.count(0) != len(block):
            raise MalformedError(f"the archive goes on after its end at byte {end}")
    return end


def _headers(archive: ByteReader, start: int) -> Iterator[TarHeader]:
    for header in tar_headers(HeaderFile(archive), start):
        if header.offset + header.stored > archive.length:
            raise MalformedError(
                f"the archive ends at byte {archive.length}, inside {shown(header.name)}"
            )
        yield header


def _members(headers: Iterable[TarHeader], refuse: Refuse) -> Iterator[Member]:
    for header in headers:
        if header.type == LABEL:
            continue
        try:
            path = member_path(header.name)
        except MalformedError:
            if not is_whole(header.name):
                refuse(header.name)
            continue
        raw = header.name.rstrip(b"/")
        yield Member(
            path=path,
            kind=kind_of(header),
            header=header.start,
            offset=header.offset,
            length=header.length,
            stored=header.stored,
            method=0 if header.extents is None else SPARSE,
            mode=header.mode,
            mtime=bounded_time(header.mtime_ns) // _NS,
            raw=b"" if raw == path else raw,
            target=header.target,
        )


def kind_of(header: TarHeader) -> MemberKind:
    """What a member is."""
    return _KINDS.get(header.type, MemberKind.OTHER)


def _place(member: Member) -> tuple[object, ...]:
    place = member.offset, member.length, member.method
    return member.path, member.kind, place, member.mode, member.target


def _wrong_index(member: Member) -> IntegrityError:
    return IntegrityError(
        f"the index of the archive is wrong about {shown(member.path)}",
    )
