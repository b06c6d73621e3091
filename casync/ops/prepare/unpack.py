"""Prepares an archive as a tree: its members become files, whatever it was compressed with.

An archive is read once, in its order; only a zip is read by its directory, and laid into a
temporary file first where it cannot be. What a member holds goes into the store at once. The tree
is built when all members are known.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from casync.access.ordered import OrderedQueue
from casync.access.progress import SILENT, Progress
from casync.archives.byte_files import FileReader
from casync.archives.format import ByteReader
from casync.archives.member import MemberKind, Special
from casync.archives.unpacking.msgpack_members import unpack_msgpack
from casync.archives.unpacking.opened_stream import open_stream
from casync.archives.unpacking.tar_members import unpack_tar
from casync.archives.unpacking.unpacked_member import RefusedMember, UnpackedMember
from casync.archives.unpacking.zip_members import unpack_zip
from casync.cutting.small import SMALL_BYTES, Chunks, cut_small
from casync.errors import DigestMismatchError, SourceChangedError, UnsupportedError
from casync.fs.exclude import Exclusion, excludes
from casync.fs.os_errors import writing
from casync.fs.scan import Excluded
from casync.fs.source.base import BLOCK_BYTES, FileStamp, Hole, Positioned, Source, reading
from casync.limits import MIB
from casync.objects.node import EMPTY
from casync.objects.tree import Device, Entry, File, Folder, Link, Meta, Pipe, bounded_time
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.known_owners import KnownOwners
from casync.ops.prepare.member_rows import MemberRows, exclude_step
from casync.ops.prepare.prepared import FolderPrepared
from casync.ops.prepare.tree_builder import TreeBuilder
from casync.store.base import ObjectStore

__all__ = ["prepare_archive"]

_READERS: Final = 4
_AHEAD: Final = 64
"""Small files that are in memory, or being cut."""

_ZEROS: Final = bytes(MIB)
_NOTHING_EXCLUDED: Final = Exclusion((), ())


def prepare_archive(
    source: Source,
    store: ObjectStore,
    options: PrepareOptions = PrepareOptions(),
    *,
    excluded: Excluded = _NOTHING_EXCLUDED,
    progress: Progress = SILENT,
) -> FolderPrepared:
    """Puts the members of an archive into `store`, as a tree.

    Args:
        source: The archive. If it changes while it is read, it is read once more if possible.
        store: The store.
        options: How to prepare. An expected SHA-256 is that of the archive as it is stored.
        excluded: Selects paths to leave out of the tree.
        progress: Advances by every byte of the archive.

    Raises:
        UsageError: It is no archive, or of another kind than its name says.
        MalformedError: It is damaged, or ends early; or only its name is that of an archive.
        IntegrityError: A member has another checksum than the archive says.
        UnsupportedError: A member is encrypted, or stored by an unknown method.
        SourceChangedError: It changed while it was read.
        DigestMismatchError: Its SHA-256 is not the expected one.
        NoSpaceError, WriteError: The store, or a temporary file, cannot be written.
        CasyncError: The archive cannot be read.
    """
    try:
        return _unpack(source, store, options, excluded, progress)
    except SourceChangedError as error:
        if not source.repeatable:
            raise
        progress.note(f"{error.message}; reading it again")
        return _unpack(source, store, options, excluded, progress)


def _unpack(
    source: Source,
    store: ObjectStore,
    options: PrepareOptions,
    excluded: Excluded,
    progress: Progress,
) -> FolderPrepared:
    """Reads the archive once, and publishes the tree."""
    of_tree = replace(options, expect_sha256=None)
    with (
        TreeBuilder(
            source.label, store, of_tree, _OnlyNotes(progress), readers=_READERS
        ) as builder,
        MemberRows(builder, excluded) as rows,
        _Archive(source, progress, options.expect_sha256) as archive,
    ):
        progress.start("reading", source.length)
        taking = _Taking(builder, rows)
        for number, member in enumerate(archive.members()):
            # Only a hard link can still need an excluded one.
            if archive.has_hard_links or not excludes(excluded, _name(member)):
                taking.take(number, member)
        taking.finish()
        archive.check()
        progress.start("making folders", None)
        rows.build()
        return builder.finish()


class _Archive:
    """An archive that is being read. Use in a with block.

    Attributes:
        has_hard_links: Whether its format has any. Known from `members` on.
    """

    def __init__(self, source: Source, progress: Progress, expected: bytes | None) -> None:
        self._source = source
        self._progress = progress
        self._expected = expected
        self._digest = hashlib.sha256()
        self._positioned: Positioned | None = None
        self._stack = ExitStack()
        self.has_hard_links = False

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def members(self) -> Iterator[UnpackedMember | RefusedMember]:
        """The members in order. Raises as `prepare_archive`."""
        pieces = self._stack.enter_context(closing(self._pieces()))
        kind, plain = open_stream(pieces, self._source.label, self._source.length)
        if kind.format == "tar":
            self.has_hard_links = True
            return unpack_tar(plain, KnownOwners(self._progress))
        if kind.format == "msgpack":
            return unpack_msgpack(plain)
        if self._expected is None:
            self._positioned = self._source.positioned(0)
        if self._positioned is None:
            return unpack_zip(self._spooled(plain.rest()))
        return self._by_position(self._positioned)

    def check(self) -> None:
        """Proves that what was read is one version, and the expected one.

        Raises:
            SourceChangedError, DigestMismatchError: It is not.
        """
        if self._positioned is not None:
            self._positioned.compare()
        elif self._expected is not None and (found := self._digest.digest()) != self._expected:
            raise DigestMismatchError(
                f"{self._source.label} has the SHA-256 {found.hex()}, not {self._expected.hex()}"
            )

    def _pieces(self) -> Generator[bytes]:
        for block in self._source.blocks():
            for piece in [block] if isinstance(block, bytes) else _zeros(block.length):
                if self._expected is not None:
                    self._digest.update(piece)
                self._progress.advance(len(piece))
                yield piece

    def _spooled(self, pieces: Iterator[bytes]) -> ByteReader:
        """A temporary file with the archive, which is read from its end."""
        folder, length = Path(tempfile.gettempdir()), 0
        file = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        for piece in pieces:
            with writing(folder):
                file.write(piece)
            length += len(piece)
        return FileReader(cast(BinaryIO, file), length)

    def _by_position(self, positioned: Positioned) -> Iterator[UnpackedMember | RefusedMember]:
        """The members of a zip that is a file."""
        assert positioned.length is not None
        self._progress.start("reading", None)  # some bytes are read twice
        with reading(self._source.label):
            file = _CountedFile(positioned.descriptor, self._progress)
            yield from unpack_zip(FileReader(file, positioned.length))


class _CountedFile(io.FileIO):
    """An open file that reports what is read of it. Closing it leaves the descriptor open."""

    def __init__(self, descriptor: int, progress: Progress) -> None:
        super().__init__(descriptor, closefd=False)
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads the next bytes; fewer only at the end."""
        data = super().read(-1 if size is None else size)
        self._progress.advance(len(data))
        return data


class _Pending(NamedTuple):
    """A file whose bytes are being cut."""

    number: int
    path: bytes
    meta: Meta
    chunks: Future[Chunks]


class _Taking:
    """Takes members: the bytes of files into the store, all else into rows."""

    def __init__(self, builder: TreeBuilder, rows: MemberRows) -> None:
        self._builder = builder
        self._rows = rows
        self._queue = OrderedQueue(self._add_file, _AHEAD)

    def take(self, number: int, member: UnpackedMember | RefusedMember) -> None:
        """Takes the next member. Raises as `prepare_archive`."""
        if isinstance(member, RefusedMember):
            return self._rows.leave_out(member.name, member.reason)
        meta = _meta(member)
        match member.kind:
            case MemberKind.FILE:
                try:
                    return self._file(number, member, meta)
                except UnsupportedError as error:
                    error.next_step = exclude_step(member.path)
                    raise
            case MemberKind.FOLDER if not member.path:
                return self._rows.add_root(meta)
            case MemberKind.HARDLINK:
                return self._rows.add_link(number, member.path, member.target)
        return self._rows.add(number, member.path, _entry(member, meta))

    def finish(self) -> None:
        """Takes what still waits. Raises as `take`."""
        self._queue.finish()

    def _file(self, number: int, member: UnpackedMember, meta: Meta) -> None:
        if member.length > SMALL_BYTES:
            self._queue.finish()
            content = self._builder.tree_writer.take_large(_MemberSource(member))
            return self._rows.add(number, member.path, File(b"", meta, None, content))
        blocks = [one if isinstance(one, bytes) else bytes(one) for one in member.blocks]
        data = b"".join(blocks)
        cutting = self._builder.readers.submit(cut_small, data, self._builder.params)
        return self._queue.put(_Pending(number, member.path, meta, cutting))

    def _add_file(self, pending: _Pending) -> None:
        content = self._builder.tree_writer.take(pending.chunks.result())
        self._rows.add(pending.number, pending.path, File(b"", pending.meta, None, content))


def _name(member: UnpackedMember | RefusedMember) -> bytes:
    return member.name if isinstance(member, RefusedMember) else member.path


def _meta(member: UnpackedMember) -> Meta:
    mtime = bounded_time(member.mtime_ns)
    return Meta(
        member.mode, mtime, member.uid, member.gid, member.user, member.group, member.attributes
    )


def _entry(member: UnpackedMember, meta: Meta) -> Entry:
    """The entry of anything but a file and a hard link."""
    match member.special:
        case Special(kind="pipe"):
            return Pipe(b"", meta, None)
        case Special(kind=kind, major=major, minor=minor):
            return Device(b"", meta, None, kind == "block", major, minor)
    if member.kind is MemberKind.SYMLINK:
        return Link(b"", meta, None, member.target)
    return Folder(b"", meta, EMPTY)


class _MemberSource:
    """A large file of an archive as a source to cut."""

    repeatable = False
    length = None

    def __init__(self, member: UnpackedMember) -> None:
        self.label = member.path.decode(errors="replace")
        self._member = member

    def stamp(self) -> FileStamp | None:
        """None: there is no file to recognise."""
        return None

    def positioned(self, least: int) -> Positioned | None:
        """None: it is read in order."""
        return None

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes | Hole]:
        """All bytes, and holes of a sparse member. See `Source`."""
        for block in self._member.blocks:
            yield block if isinstance(block, bytes) else Hole(block)


class _OnlyNotes:
    """Passes notes on. Bytes are counted as they are read from the archive."""

    def __init__(self, progress: Progress) -> None:
        self.note = progress.note

    def start(self, what: str, total: int | None) -> None:
        """Drops it."""

    def advance(self, count: int) -> None:
        """Drops it."""


def _zeros(length: int) -> Iterator[bytes]:
    for done in range(0, length, MIB):
        yield _ZEROS[: length - done]
