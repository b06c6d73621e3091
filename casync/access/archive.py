"""Archives among contents: their members by path, and the bytes of each, every chunk proved.

The index of members is found where indexes are kept, or made in one pass and kept there. It is
never believed: the header of a member is compared before its bytes are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Final, Protocol

from casync.access.content_file import ContentFile, FileBytes
from casync.access.outline import Outline
from casync.archives.byte_files import FileReader
from casync.archives.detect import check_name, detect
from casync.archives.format import ByteReader
from casync.archives.index import MemberIndex, encode_index, member_order
from casync.archives.layers import PlainReader, open_layer
from casync.archives.member import Member, MemberKind, member_path
from casync.errors import MalformedError, NotFoundError, UsageError
from casync.fs.index_folder import keep_for_now
from casync.fs.sorted_rows import SortedRows
from casync.objects.node import Content
from casync.store.base import ObjectSource

__all__ = ["PASSING", "Archive", "MemberContent", "MemberIndexes", "PassingIndexes", "open_archive"]

_WORDS: Final = {
    MemberKind.FOLDER: "folder",
    MemberKind.SYMLINK: "link",
    MemberKind.OTHER: "device or pipe",
}


class MemberIndexes(Protocol):
    """Keeps the indexes of archives by their content. What it keeps may be lost at any time."""

    def find(self, content: Content) -> ByteReader | None:
        """The index of an archive; None if it is not kept."""
        ...

    def keep(self, content: Content, index: Iterable[bytes]) -> ByteReader:
        """Keeps an index, which comes in blocks.

        Raises:
            NoSpaceError, WriteError: It cannot be written.
        """
        ...


class PassingIndexes:
    """Keeps indexes for as long as they are used."""

    def find(self, content: Content) -> ByteReader | None:
        """None."""
        return None

    def keep(self, content: Content, index: Iterable[bytes]) -> ByteReader:
        """Writes an index to a file without a name."""
        return keep_for_now(index)


PASSING: Final = PassingIndexes()


class Archive:
    """An archive in a store or on a server.

    Args:
        outline: The outline of its content.
        source: Has its chunks.
        index: Its index.

    Attributes:
        index: The members.
        content: The archive as it is stored.
    """

    def __init__(self, outline: Outline, source: ObjectSource, index: MemberIndex) -> None:
        self.index = index
        self.content = outline.content
        stored = _stored(outline, source)
        self._format = index.kind.reader
        points = index.points() if index.kind.layer else b""
        self._plain = open_layer(index.kind.layer, stored, length=index.length, points=points)

    def find(self, path: bytes) -> Member | None:
        """The member at a path; of several the last one. A hard link is what it leads to.

        Raises:
            NotFoundError: The path is that of a hard link to nothing.
        """
        member = self.index.find(path)
        while member is not None and member.kind is MemberKind.HARDLINK:
            member = self._before(member)
            if member is None:
                raise NotFoundError(f"{_text(path)} is a hard link to a member that is not there")
        return member

    def _before(self, link: Member) -> Member | None:
        """What a hard link leads to: the last member of that path before it."""
        try:
            target = member_path(link.target)
        except MalformedError:
            return None
        same = takewhile(lambda one: one.path == target, self.index.members(target))
        return max(
            (one for one in same if one.header < link.header),
            key=lambda one: one.header,
            default=None,
        )

    def open(self, member: Member) -> MemberContent:
        """The bytes of a member.

        Raises:
            UsageError: It has none.
            IntegrityError: The index is wrong about it.
        """
        if member.kind is not MemberKind.FILE:
            raise UsageError(
                f"{_text(member.path)} is a {_WORDS[member.kind]} in the archive, not a file"
            )
        self._format.check(self._plain, member)
        return MemberContent(self, member)

    def read(self, member: Member, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a part of a member.

        Raises:
            UnsupportedError: It is sparse, encrypted, or compressed in another way than deflate.
            NoObjectError, IntegrityError: Its chunks are missing, or it is damaged.
        """
        return self._format.read(self._plain, member, start, end)

    def scan(self) -> Iterator[Member]:
        """All members in the order of the archive, whatever the index says.

        Raises:
            MalformedError: It is no archive.
        """
        return self._format.scan(self._plain)


class MemberContent:
    """The bytes of a member of an archive.

    Attributes:
        member: The member.
        length: How many bytes there are.
    """

    def __init__(self, archive: Archive, member: Member) -> None:
        self._archive = archive
        self.member = member
        self.length = member.length

    @property
    def identity(self) -> str:
        """What changes whenever the bytes do: the archive, and the place of the member in it."""
        return f"{self._archive.content.id.hex()}-{self.member.header:x}"

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a range, in blocks.

        Raises:
            UnsupportedError, NoObjectError, IntegrityError: As `Archive.read`.
        """
        return self._archive.read(self.member, start, end)


def open_archive(
    outline: Outline,
    source: ObjectSource,
    indexes: MemberIndexes,
    name: str = "",
    *,
    anew: bool = False,
) -> Archive | None:
    """Opens a content as an archive; None if neither its bytes nor its name are those of one.

    Args:
        outline: The outline of the content.
        source: Has its chunks.
        indexes: Keeps its index.
        name: Its name, if it has one.
        anew: Make the index again, even if one is kept.

    Raises:
        UsageError: Its name says that it is another kind of archive.
        MalformedError: It is damaged, or no archive although its name says so.
        NoObjectError, IntegrityError: Its chunks are missing or damaged.
    """
    kept = None if anew else indexes.find(outline.content)
    if kept is not None:
        try:
            archive = Archive(outline, source, MemberIndex(kept))
        except MalformedError:
            pass  # it is made again
        else:
            check_name(archive.index.kind, name)
            return archive
    stored = _stored(outline, source)
    kind = detect(stored, name)
    if kind is None:
        return None
    plain = open_layer(kind.layer, stored)
    with SortedRows(Member, member_order, "the members of the archive") as rows:
        for member in kind.reader.scan(plain):
            rows.add(member)
        points = plain.points if isinstance(plain, PlainReader) else b""
        index = indexes.keep(outline.content, encode_index(rows, kind, plain.length, points))
    return Archive(outline, source, MemberIndex(index))


def _stored(outline: Outline, source: ObjectSource) -> FileReader:
    return FileReader(ContentFile(FileBytes(outline, source)), outline.length)


def _text(path: bytes) -> str:
    return path.decode(errors="replace")
