"""Counts the bytes of members as they are read: what is written of them is compressed, or kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from casync.access.progress import Progress
from casync.archives.format import ByteReader
from casync.archives.writing.new_member import MemberWithBytes
from casync.ids import Buffer

__all__ = ["CountedMembers", "NotesOf"]


class CountedMembers:
    """Members, and an archive, whose bytes advance a progress.

    Args:
        progress: Advances by every byte that is read.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._begun = False

    def start(self, what: str, total: int) -> None:
        """Begins a phase. What was read before does not count."""
        self._begun = True
        self._progress.start(what, total)

    def advance(self, count: int) -> None:
        """Counts bytes."""
        if self._begun:
            self._progress.advance(count)

    def members(self, members: Iterable[MemberWithBytes]) -> Iterator[MemberWithBytes]:
        """The same members."""
        for member, content in members:
            yield member, self._counted(content)

    def reader(self, archive: ByteReader) -> ByteReader:
        """The same archive. What is read of it in blocks is counted."""
        return _CountedReader(archive, self.advance)

    def _counted(self, content: Iterable[Buffer]) -> Iterator[Buffer]:
        for block in content:
            yield block
            self.advance(memoryview(block).nbytes)


class NotesOf:
    """A progress that only passes on notes: bytes are counted elsewhere.

    Args:
        progress: Takes the notes.
    """

    def __init__(self, progress: Progress) -> None:
        self.note = progress.note

    def start(self, what: str, total: int | None) -> None:
        """Drops it."""

    def advance(self, count: int) -> None:
        """Drops it."""


class _CountedReader:
    def __init__(self, archive: ByteReader, advance: Callable[[int], None]) -> None:
        self._archive = archive
        self._advance = advance
        self.length = archive.length

    def read(self, offset: int, length: int) -> bytes:
        return self._archive.read(offset, length)

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        for block in self._archive.blocks(start, end):
            yield block
            self._advance(len(block))
