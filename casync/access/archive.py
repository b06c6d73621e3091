"""Archives among contents: their members by path, and the bytes of each, every chunk proved.

The index of members is found where indexes are kept, or made in one pass and kept there. It is
never believed: the header of a member is compared before its bytes are read, and an index that is
damaged or wrong is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from casync.access.index_making import make_index
from casync.access.member_indexes import BAD_INDEX, ArchivePlace, MemberIndexes, reader_of
from casync.access.outline import Outline
from casync.access.progress import SILENT, Progress
from casync.archives.detect import ArchiveKind, check_name, detect
from casync.archives.format import ByteReader
from casync.archives.gzip_points import GzipPoints, GzipStart
from casync.archives.hard_links import FOLDER, ITSELF, MAX_CHAIN, NOTHING, leads_nowhere, too_long
from casync.archives.index import MemberIndex
from casync.archives.index_layout import member_order
from casync.archives.layers import open_layer, open_onwards
from casync.archives.member import DEFLATED, STORED, Member, MemberKind, member_path, shown
from casync.archives.unpacking.one_pass import OnePass
from casync.errors import (
    CasyncError,
    DamagedObjectError,
    IntegrityError,
    MalformedError,
    NoObjectError,
    UsageError,
)
from casync.store.base import ObjectSource

__all__ = ["Archive", "MemberContent", "open_archive"]

_WORDS: Final = {
    MemberKind.FOLDER: "folder",
    MemberKind.SYMLINK: "link",
    MemberKind.OTHER: "device or pipe",
}
_T = TypeVar("_T")


class Archive:
    """An archive in a store or on a server.

    Args:
        place: The archive, and where it is.
        stored: Its bytes as they are stored.
        indexes: Keeps its index.
        index: Its index.

    Attributes:
        content: The archive as it is stored.
    """

    def __init__(
        self, place: ArchivePlace, stored: ByteReader, indexes: MemberIndexes, index: MemberIndex
    ) -> None:
        self.content = place.content
        self._place = place
        self._stored = stored
        self._indexes = indexes
        self._index = index
        self._opened_plain: ByteReader | None = None
        self._measured: GzipPoints | None = None

    @property
    def kind(self) -> ArchiveKind:
        """What kind of archive it is."""
        return self._index.kind

    @property
    def index(self) -> MemberIndex:
        """Its index."""
        return self._index

    @property
    def stored(self) -> ByteReader:
        """Its bytes as they are stored."""
        return self._stored

    @property
    def plain(self) -> ByteReader:
        """Its bytes, decompressed."""
        return self._plain

    def members(self, prefix: bytes = b"", *, after: bytes = b"") -> Iterator[Member]:
        """As `MemberIndex.members`.

        Raises:
            NoObjectError, IntegrityError: The archive is damaged, or a part of it is missing.
        """
        last: Member | None = None
        try:
            for last in self._index.members(prefix, after=after):
                yield last
        except BAD_INDEX as error:
            self._remake(error)
            for member in self._index.members(prefix, after=after):
                if last is None or member_order(member) > member_order(last):
                    yield member

    def find(self, path: bytes) -> Member | None:
        """The member at a path; of several the last one. A hard link is what it leads to.

        Raises:
            NotFoundError: The path is that of a hard link that leads to no file.
            UnsupportedError: It is one of too many hard links that lead to each other in a row.
            NoObjectError, IntegrityError: As `members`.
        """
        return self._reading(lambda: self._find(path))

    def open(self, path: bytes) -> MemberContent | None:
        """The bytes of the member at a path; None if there is none.

        Raises:
            UsageError, UnsupportedError: As `require_file`.
            NotFoundError: As `find`.
            NoObjectError, IntegrityError: The archive is damaged there, or a part is missing.
        """
        member = self.find(path)
        try:
            return self._opened(member)
        except DamagedObjectError:
            raise  # it is the archive that is damaged
        except IntegrityError as error:
            self._remake(error)
            return self._opened(self.find(path))

    def content_of(self, member: Member) -> MemberContent:
        """The bytes of a member that `find` has found.

        Raises:
            UsageError, UnsupportedError: As `require_file`.
            IntegrityError: The archive is damaged there, or its index is wrong.
        """
        self.require_file(member)
        self.check(member)
        return MemberContent(self, self._with_lengths(member))

    def check(self, member: Member) -> None:
        """Compares what the index says of a member, of any kind, with the archive.

        Raises:
            IntegrityError: The archive is damaged there, or its index is wrong.
        """
        try:
            self.kind.reader.check(self._plain, member)
        except IntegrityError as error:
            if self._author and not isinstance(error, DamagedObjectError):
                raise self._lied(error) from error
            raise

    def require_file(self, member: Member) -> None:
        """Passes a member that is a file and can be read.

        Raises:
            UsageError: It is no file.
            UnsupportedError: As `read`.
        """
        if member.kind is not MemberKind.FILE:
            raise UsageError(
                f"{shown(member.path)} is a {_WORDS[member.kind]} in the archive, not a file"
            )
        if member.method not in (STORED, DEFLATED):
            next(self.read(member, 0, 0), None)

    def read(self, member: Member, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a part of a member.

        Raises:
            UnsupportedError: It is sparse, encrypted, or compressed in another way than deflate.
            NoObjectError, IntegrityError: Its chunks are missing, or it is damaged.
        """
        return self.kind.reader.read(self._plain, member, start, end)

    def onwards(self) -> Archive:
        """The same for a reader that goes through it once, from its beginning on."""
        archive = Archive(self._place, self._stored, self._indexes, self._index)
        plain = open_onwards(self.kind.layer, self._stored, self._index.length)
        archive._opened_plain = plain
        return archive

    def stored_range(self, member: Member) -> tuple[int, int]:
        """About which bytes of the archive as it is stored reading a member needs."""
        start, end = member.header, member.offset + member.stored
        if self.kind.layer:
            points = self._reading(lambda: self._index.points())
            start, behind = points.stored_range(start, end) if points is not None else (0, None)
            end = behind or self.content.length
        return start, end

    def _opened(self, member: Member | None) -> MemberContent | None:
        if member is None:
            return None
        self.require_file(member)
        self.kind.reader.check(self._plain, member)
        return MemberContent(self, self._with_lengths(member))

    def _with_lengths(self, member: Member) -> Member:
        """A member whose lengths the archive says, or an index that was made here."""
        if not self._author or self.kind.reader.proves(self._plain, member):
            return member
        self._make_again()
        same = self._index.members(member.path)
        found = next((one for one in same if member_order(one) == member_order(member)), None)
        if found is None:
            raise _wrong_about(member)
        return found

    def _find(self, path: bytes) -> Member | None:
        found = self._index.find(path)
        if found is None or found.kind is not MemberKind.HARDLINK:
            return found
        link = found
        for _ in range(MAX_CHAIN):
            self.kind.reader.check(self._plain, link)
            there = self._linked(link)
            problem = ""
            if there is None:
                problem = NOTHING
            elif there.kind is MemberKind.FOLDER:
                problem = FOLDER
            elif there == found:
                problem = ITSELF
            if there is None or problem:  # no fault of the index, which would be made again
                raise leads_nowhere(path, link.target, problem)
            if there.kind is not MemberKind.HARDLINK:
                return there
            link = there
        raise too_long(path)

    def _linked(self, link: Member) -> Member | None:
        """What a hard link leads to, by the rule of `hard_links`."""
        try:
            target = member_path(link.target)
        except MalformedError:
            return None
        before = self._index.find_before(target, link.header)
        return before or self._index.find_from(target, link.header)

    @property
    def _plain(self) -> ByteReader:
        if self._opened_plain is None:
            layer, length = self.kind.layer, self._index.length
            start_before = self._start_before if layer == "gzip" else None
            self._opened_plain = open_layer(
                layer, self._stored, length=length, start_before=start_before
            )
        return self._opened_plain

    def _start_before(self, plain: int) -> GzipStart:
        return self._reading(lambda: self._gzip_points().before(plain))

    def _gzip_points(self) -> GzipPoints:
        points = self._measured or self._index.points()
        if points is None:  # more than an index has room for
            once = OnePass("gzip", self._stored)
            once.measure()
            points = self._measured = once.points
        assert points is not None
        return points

    def _reading(self, read: Callable[[], _T]) -> _T:
        """Reads the index, which is made again if it is damaged."""
        try:
            return read()
        except BAD_INDEX as error:
            self._remake(error)
            return read()

    @property
    def _author(self) -> str:
        return self._indexes.author(self._place)

    def _remake(self, error: CasyncError) -> None:
        """Makes the index again, unless it is the word of a server, which is wrong.

        Raises:
            IntegrityError: The server's index is wrong.
        """
        is_lost = isinstance(error, NoObjectError | DamagedObjectError)
        if self._author and not is_lost:
            raise self._lied(error) from error
        self._make_again()

    def _lied(self, error: CasyncError) -> IntegrityError:
        """An error about the index that names the server whose word it is, once."""
        named = f"{self._author}: "
        return IntegrityError(
            named + error.message.removeprefix(named),
            next_step="`casync pull` makes the index here, when it gets a hash or --trust KEY.",
        )

    def _make_again(self) -> None:
        kind = detect(self._stored) or self.kind
        self._opened_plain = None
        self._index = make_index(self._place, self._stored, kind, self._indexes, bad=self._index)


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
    def kind(self) -> ArchiveKind:
        """What kind of archive it is in."""
        return self._archive.kind

    @property
    def identity(self) -> str:
        """What changes whenever the bytes do: the archive, and the place of the member in it."""
        return f"{self._archive.content.id.hex()}-{self.member.header:x}"

    def stored_range(self) -> tuple[int, int]:
        """About which bytes of the archive as it is stored hold it."""
        return self._archive.stored_range(self.member)

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
    path: bytes = b"",
    *,
    is_proved: bool = False,
    progress: Progress = SILENT,
) -> Archive | None:
    """Opens a content as an archive; None if neither its bytes nor its name are those of one.

    Args:
        outline: The outline of the content.
        source: Has its chunks.
        indexes: Keeps its index.
        name: Its name, if it has one.
        path: Where it is in the tree of the outline's manifest; empty for the whole.
        is_proved: Whether the manifest is known by more than the word of a server: by its hash.
        progress: Advances by every byte of the archive, if its index is made.

    Raises:
        UsageError: Its name says that it is another kind of archive.
        MalformedError: It is damaged, or no archive although its name says so.
        NoObjectError, IntegrityError: Its chunks are missing or damaged.
        NoSpaceError, WriteError: There is no room for its index.
    """
    place = ArchivePlace(outline.content, outline.id, path, is_proved)
    stored = reader_of(outline, source)
    index = indexes.find(place)
    if index is not None:
        check_name(index.kind, name)
    else:
        kind = detect(stored, name)
        if kind is None:
            return None
        index = make_index(place, stored, kind, indexes, progress)
    return Archive(place, stored, indexes, index)


def _wrong_about(member: Member) -> IntegrityError:
    return IntegrityError(f"the index of the archive is wrong about {shown(member.path)}")
