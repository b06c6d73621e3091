"""The next version of an archive, made of the one before and of new members."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import BinaryIO, Final, cast

from casync.access.archive import Archive
from casync.access.member_indexes import BAD_INDEX, ArchivePlace, indexes_of, reader_of
from casync.access.naming import unsigned_after
from casync.access.outline import Outline
from casync.access.progress import SILENT, Progress
from casync.archives.format import ByteReader
from casync.archives.index_layout import fits_index, member_order
from casync.archives.index_writing import extended_index
from casync.archives.member import Member
from casync.archives.unpacking.one_pass import OnePass
from casync.archives.writing.growth import Addition, Growth, OldArchive, grow
from casync.archives.writing.new_format import NewFormat
from casync.cutting.batch_writer import BatchWriter
from casync.cutting.chunk_writer import ChunkWriter
from casync.cutting.splice import splice
from casync.errors import NoSpaceError, SourceChangedError, WriteError
from casync.fs.sorted_rows import SortedRows
from casync.ids import Buffer, ManifestId
from casync.limits import MIB
from casync.names.name import Name, NameRecord
from casync.objects.codec import DEFAULT_LEVEL
from casync.objects.kept import Kept
from casync.objects.manifest import Manifest
from casync.objects.node import Content
from casync.ops.archive.added_members import AddedMembers
from casync.ops.archive.counted_members import CountedMembers
from casync.ops.archive.create import ArchivePlan
from casync.ops.prepare.file import PrepareOptions, publish
from casync.store.base import ObjectStore

__all__ = ["GrownArchive"]

_BLOCK_BYTES: Final = MIB
"""Bytes of small pieces that are cut together, and of records of zip that are held in memory."""


class GrownArchive:
    """Writes the next version of an archive.

    Args:
        archive: The archive.
        made: Its format.
        outline: The outline of its content.
        store: The store that has it.
        progress: Advances by every byte of new members, and of an archive that is compressed again.

    Attributes:
        new: Chunks that the store lacked.
        stored: Bytes added to the store.
    """

    def __init__(
        self,
        archive: Archive,
        made: NewFormat,
        outline: Outline,
        store: ObjectStore,
        progress: Progress,
    ) -> None:
        self._archive = archive
        self._made = made
        self._outline = outline
        self._store = store
        self._progress = progress
        self.new = self.stored = 0

    def write(
        self,
        name: Name,
        newest: NameRecord,
        added: AddedMembers,
        plan: ArchivePlan,
        replaced: list[Member],
    ) -> tuple[NameRecord, int]:
        """Writes it, and moves the name from its newest version.

        Args:
            name: The name.
            newest: Its version that has the archive.
            added: The new members.
            plan: What they are.
            replaced: The members that they replace.

        Returns:
            The version of the name, and the bytes of the archive.

        Raises:
            LostRaceError: The name has another version by now.
            SourceChangedError: The new members changed.
            CasyncError: As `append_to_archive`.
        """
        archive = self._archive
        counting = CountedMembers(self._progress)
        plain = counting.reader(archive.plain)
        old = OldArchive(archive.stored, plain, archive.index.last)
        new = counting.members(added.members(self._made.kinds))
        addition = Addition(new, plan.files, replaced)
        with (
            tempfile.SpooledTemporaryFile(_BLOCK_BYTES) as spool,
            SortedRows(Member, member_order, "the new members of the archive") as rows,
        ):

            def noted(member: Member) -> None:
                if fits_index(member):
                    rows.add(member)

            def check() -> None:
                if added.replaced != replaced:
                    raise SourceChangedError(f"{added.label} changed while it was read")

            growth = grow(self._made, old, addition, cast(BinaryIO, spool), noted)
            is_anew = growth.moves and self._made is NewFormat.TGZ
            total = plan.plain + (old.plain.length if is_anew else 0)
            counting.start("compressing again" if is_anew else "appending", total)
            ident, content, record = self._write(name, newest, growth, check)
            if not growth.moves:
                gone = {one.path for one in replaced} if self._made is NewFormat.ZIP else set()
                with suppress(NoSpaceError, WriteError, *BAD_INDEX):
                    self._extend_index(ident, content, growth, rows, gone)
        return record, content.length

    def _write(
        self, name: Name, newest: NameRecord, growth: Growth, check: Callable[[], None]
    ) -> tuple[ManifestId, Content, NameRecord]:
        outline = self._outline
        options = PrepareOptions(name=name, signer=unsigned_after(newest.version))
        writer = BatchWriter(self._store)
        try:
            # Bytes are counted where members are read.
            chunk_writer = ChunkWriter(writer, level=DEFAULT_LEVEL, threads=1, progress=SILENT)
            splice(outline, self._store, _in_blocks(growth.pieces), chunk_writer)
            check()
            content = chunk_writer.finish()
            manifest = Manifest("file", outline.params, content)
            ident, record = publish(manifest, writer, options, relies=[outline.id])
        finally:
            writer.close()
        assert record is not None
        self.new, self.stored = chunk_writer.new, writer.stored
        return ident, content, record

    def _extend_index(
        self,
        ident: ManifestId,
        content: Content,
        growth: Growth,
        rows: Iterable[Member],
        gone: set[bytes],
    ) -> None:
        """Keeps the index of the new version, of which only a part is new."""
        index, length = self._archive.index, content.length
        points = index.points()
        if index.kind.layer:
            outline = Outline(ident, Manifest("file", self._outline.params, content), self._store)
            rest = _Rest(reader_of(outline, self._store), growth.stored)
            self._progress.start("indexing the archive", rest.length)
            later = OnePass(index.kind.layer, rest, self._progress.advance)
            later.measure()
            if points is not None and later.points is not None:
                points = points.joined(later.points, growth.stored, growth.plain)
            length = growth.plain + later.length
        blocks = extended_index(index, rows, length=length, points=points, without=gone)
        indexes_of(self._store).keep(ArchivePlace(content, ident), blocks)


class _Rest:
    """The bytes of a reader from an offset on."""

    def __init__(self, whole: ByteReader, start: int) -> None:
        self._whole = whole
        self._start = start
        self.length = whole.length - start

    def read(self, offset: int, length: int) -> bytes:
        """As `ByteReader.read`."""
        return self._whole.read(self._start + offset, length)

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """As `ByteReader.blocks`."""
        return self._whole.blocks(self._start + start, self._start + end)


def _in_blocks(pieces: Iterable[Kept | Buffer]) -> Iterator[Kept | bytes]:
    """Pieces with small ones joined."""
    block = bytearray()
    for piece in pieces:
        if not isinstance(piece, Kept):
            block += piece
            if len(block) < _BLOCK_BYTES:
                continue
        if block:
            yield bytes(block)
            block = bytearray()
        if isinstance(piece, Kept):
            yield piece
    if block:
        yield bytes(block)
