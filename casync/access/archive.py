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
from casync.archives.detect import ArchiveKind, check_name, detect
from casync.archives.format import ByteReader
from casync.archives.index import MemberIndex, encode_index, member_order
from casync.archives.layers import PlainReader, open_layer
from casync.archives.member import DEFLATED, STORED, Member, MemberKind, member_path
from casync.errors import IntegrityError, MalformedError, NotFoundError, UsageError
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

    An index that turns out to be damaged or wrong is made again.

    Args:
        outline: The outline of its content.
        source: Has its chunks.
        indexes: Keeps its index.
        index: Its index.

    Attributes:
        content: The archive as it is stored.
    """

    def __init__(
        self, outline: Outline, source: ObjectSource, indexes: MemberIndexes, index: MemberIndex
    ) -> None:
        self.content = outline.content
        self._indexes = indexes
        self._stored = _stored(outline, source)
        self._use(index)

    @property
    def kind(self) -> ArchiveKind:
        """What kind of archive it is."""
        return self._index.kind

    def members(self, prefix: bytes = b"", *, after: bytes = b"") -> Iterator[Member]:
        """As `MemberIndex.members`."""
        try:
            for member in self._index.members(prefix, after=after):
                yield member
                after = member.path
        except MalformedError:
            self._remake()
            yield from self._index.members(prefix, after=after)

    def find(self, path: bytes) -> Member | None:
        """The member at a path; of several the last one. A hard link is what it leads to.

        Raises:
            NotFoundError: The path is that of a hard link to nothing.
        """
        try:
            return self._find(path)
        except MalformedError:
            self._remake()
            return self._find(path)

    def open(self, path: bytes) -> MemberContent | None:
        """The bytes of the member at a path; None if there is none.

        Raises:
            UsageError, UnsupportedError: As `require_file`.
            NotFoundError: As `find`.
            IntegrityError: The archive is damaged there.
        """
        member = self.find(path)
        try:
            return self._opened(member)
        except IntegrityError:
            self._remake()
            return self._opened(self.find(path))

    def content_of(self, member: Member) -> MemberContent:
        """The bytes of a member that `find` has found.

        Raises:
            UsageError, UnsupportedError: As `require_file`.
            IntegrityError: The archive is damaged there, or its index is wrong.
        """
        self.require_file(member)
        self._index.kind.reader.check(self._plain, member)
        return MemberContent(self, member)

    def require_file(self, member: Member) -> None:
        """Passes a member that is a file and can be read.

        Raises:
            UsageError: It is no file.
            UnsupportedError: As `read`.
        """
        if member.kind is not MemberKind.FILE:
            raise UsageError(
                f"{_text(member.path)} is a {_WORDS[member.kind]} in the archive, not a file"
            )
        if member.method not in (STORED, DEFLATED):
            next(self.read(member, 0, 0), None)

    def read(self, member: Member, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a part of a member.

        Raises:
            UnsupportedError: It is sparse, encrypted, or compressed in another way than deflate.
            NoObjectError, IntegrityError: Its chunks are missing, or it is damaged.
        """
        return self._index.kind.reader.read(self._plain, member, start, end)

    def _opened(self, member: Member | None) -> MemberContent | None:
        return None if member is None else self.content_of(member)

    def _find(self, path: bytes) -> Member | None:
        member = self._index.find(path)
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
        same = takewhile(lambda one: one.path == target, self._index.members(target))
        return max(
            (one for one in same if one.header < link.header),
            key=lambda one: one.header,
            default=None,
        )

    def _remake(self) -> None:
        self._use(_make_index(self._stored, self._index.kind, self.content, self._indexes))

    def _use(self, index: MemberIndex) -> None:
        layer = index.kind.layer
        points = index.points() if layer else b""
        self._index = index
        self._plain = open_layer(layer, self._stored, length=index.length, points=points)


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
    outline: Outline, source: ObjectSource, indexes: MemberIndexes, name: str = ""
) -> Archive | None:
    """Opens a content as an archive; None if neither its bytes nor its name are those of one.

    Args:
        outline: The outline of the content.
        source: Has its chunks.
        indexes: Keeps its index.
        name: Its name, if it has one.

    Raises:
        UsageError: Its name says that it is another kind of archive.
        MalformedError: It is damaged, or no archive although its name says so.
        NoObjectError, IntegrityError: Its chunks are missing or damaged.
    """
    kept = indexes.find(outline.content)
    if kept is not None:
        try:
            archive = Archive(outline, source, indexes, MemberIndex(kept))
        except MalformedError:
            pass  # it is made again
        else:
            check_name(archive.kind, name)
            return archive
    stored = _stored(outline, source)
    kind = detect(stored, name)
    if kind is None:
        return None
    index = _make_index(stored, kind, outline.content, indexes)
    return Archive(outline, source, indexes, index)


def _make_index(
    stored: ByteReader, kind: ArchiveKind, content: Content, indexes: MemberIndexes
) -> MemberIndex:
    """Makes the index of an archive in one pass, and keeps it."""
    plain = open_layer(kind.layer, stored)
    with SortedRows(Member, member_order, "the members of the archive") as rows:
        for member in kind.reader.scan(plain):
            rows.add(member)
        points = plain.points if isinstance(plain, PlainReader) else b""
        return MemberIndex(indexes.keep(content, encode_index(rows, kind, plain.length, points)))


def _stored(outline: Outline, source: ObjectSource) -> FileReader:
    return FileReader(ContentFile(FileBytes(outline, source)), outline.length)


def _text(path: bytes) -> str:
    return path.decode(errors="replace")
