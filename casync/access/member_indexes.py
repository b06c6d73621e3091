"""Where the indexes of archives are kept: in the store that has the archives, if it can be written.

An index is made from its archive, so it may be lost at any time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from casync.access.content_file import ContentFile, FileBytes
from casync.access.index_store import store_index
from casync.access.outline import Outline
from casync.archives.byte_files import FileReader
from casync.archives.format import ByteReader
from casync.archives.index import MemberIndex
from casync.errors import (
    DeniedError,
    IntegrityError,
    NoObjectError,
    NoSpaceError,
    WriteError,
)
from casync.fs.unnamed_file import unnamed_file
from casync.ids import ManifestId
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.manifest import Manifest
from casync.objects.node import Content
from casync.store.base import ObjectSource
from casync.store.member_indexes import IndexedStore, IndexServer

__all__ = [
    "BAD_INDEX",
    "PASSING",
    "ArchivePlace",
    "MemberIndexes",
    "PassingIndexes",
    "ServerIndexes",
    "StoredIndexes",
    "indexes_of",
    "open_index",
    "reader_of",
]

BAD_INDEX: Final = (IntegrityError, NoObjectError)
"""What reading an index raises that is damaged, or of which a part is lost."""

_OPEN: Final = 16
"""Indexes that are open at once: each holds its tail and some blocks, up to a few MiB."""


class ArchivePlace(NamedTuple):
    """An archive, and where it is.

    Attributes:
        content: The archive as it is stored.
        manifest: A manifest that has it.
        path: Where it is in the tree of the manifest; empty for the whole.
        is_proved: Whether the manifest is known by more than the word of a server: by its hash.
    """

    content: Content
    manifest: ManifestId
    path: bytes = b""
    is_proved: bool = False


class MemberIndexes(Protocol):
    """Keeps the indexes of archives by their content. What it keeps may be lost at any time."""

    def find(self, archive: ArchivePlace) -> MemberIndex | None:
        """The index of an archive; None if it is not kept."""
        ...

    def keep(
        self, archive: ArchivePlace, index: Iterable[bytes], *, again: bool = False
    ) -> MemberIndex:
        """Keeps an index.

        Args:
            archive: The archive.
            index: The index, in blocks.
            again: One that was kept cannot be read, or is wrong.

        Raises:
            NoSpaceError, WriteError: It cannot be written anywhere.
        """
        ...

    def stored(self, archive: ArchivePlace) -> Content | None:
        """The content that the index of an archive is, where it is kept in a store."""
        ...

    def author(self, archive: ArchivePlace) -> str:
        """The server whose word the index of an archive is; empty for one that was made here."""
        ...


class PassingIndexes:
    """Keeps the indexes that were used last, for as long as the process lasts. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[Content, MemberIndex] = OrderedDict()

    def find(self, archive: ArchivePlace) -> MemberIndex | None:
        """As `MemberIndexes.find`."""
        with self._lock:
            index = self._open.get(archive.content)
            if index is not None:
                self._open.move_to_end(archive.content)
            return index

    def keep(
        self, archive: ArchivePlace, index: Iterable[bytes], *, again: bool = False
    ) -> MemberIndex:
        """Writes an index to a file without a name."""
        return self.hold(archive, MemberIndex(unnamed_file(index)))

    def stored(self, archive: ArchivePlace) -> Content | None:
        """None."""
        return None

    def author(self, archive: ArchivePlace) -> str:
        """None."""
        return ""

    def hold(self, archive: ArchivePlace, index: MemberIndex) -> MemberIndex:
        """Holds an open index; returns it."""
        with self._lock:
            self._open[archive.content] = index
            self._open.move_to_end(archive.content)
            if len(self._open) > _OPEN:
                self._open.popitem(last=False)
        return index


PASSING: Final = PassingIndexes()


class StoredIndexes:
    """Keeps indexes in a store; where that cannot be written, for as long as the process lasts.

    Args:
        store: The store.
    """

    def __init__(self, store: IndexedStore) -> None:
        self._store = store
        self._open = PassingIndexes()

    def find(self, archive: ArchivePlace) -> MemberIndex | None:
        """As `MemberIndexes.find`."""
        index = self._open.find(archive)
        content = self.stored(archive) if index is None else None
        if content is not None:
            with suppress(*BAD_INDEX):
                return self._open.hold(archive, open_index(content, self._store))
        return index or PASSING.find(archive)

    def keep(
        self, archive: ArchivePlace, index: Iterable[bytes], *, again: bool = False
    ) -> MemberIndex:
        """As `MemberIndexes.keep`."""
        file = unnamed_file(index)
        with suppress(NoSpaceError, WriteError, DeniedError):
            blocks = file.blocks(0, file.length)
            content = store_index(blocks, archive.content.id, self._store, again=again)
            return self._open.hold(archive, open_index(content, self._store))
        return PASSING.hold(archive, MemberIndex(file))

    def stored(self, archive: ArchivePlace) -> Content | None:
        """As `MemberIndexes.stored`."""
        return self._store.member_index(archive.content.id)

    def author(self, archive: ArchivePlace) -> str:
        """None."""
        return ""


class ServerIndexes:
    """Asks a server for indexes that are not kept here. Safe for threads.

    What it says is its word, which readers compare with proved bytes. It has no say in what a gzip
    archive decompresses to, where that is known by its hash.

    Args:
        server: The server.
        kept: Keeps indexes that were made here, because the server has none.
    """

    def __init__(self, server: IndexServer, kept: MemberIndexes) -> None:
        self._server = server
        self._kept = kept
        self._words = PassingIndexes()

    def find(self, archive: ArchivePlace) -> MemberIndex | None:
        """As `MemberIndexes.find`.

        Raises:
            RemoteError: The server cannot be reached.
        """
        index = self._kept.find(archive) or self._words.find(archive)
        if index is None:
            content = self._server.archive_index(archive.manifest, archive.path)
            if content is None:
                return None
            with suppress(*BAD_INDEX):
                index = self._words.hold(archive, open_index(content, self._server))
        if index is not None and index.kind.layer == "gzip" and archive.is_proved:
            return self._kept.find(archive)
        return index

    def keep(
        self, archive: ArchivePlace, index: Iterable[bytes], *, again: bool = False
    ) -> MemberIndex:
        """As `MemberIndexes.keep`."""
        return self._kept.keep(archive, index, again=again)

    def stored(self, archive: ArchivePlace) -> Content | None:
        """As `MemberIndexes.stored`."""
        content = self._kept.stored(archive)
        return content or self._server.archive_index(archive.manifest, archive.path)

    def author(self, archive: ArchivePlace) -> str:
        """As `MemberIndexes.author`."""
        return "" if self._kept.find(archive) else self._server.origin


def open_index(content: Content, source: ObjectSource) -> MemberIndex:
    """The index that is a content of `source`.

    Raises:
        NoObjectError, IntegrityError: It cannot be read.
    """
    outline = Outline(ManifestId(b""), Manifest("file", DEFAULT_PARAMS, content), source)
    return MemberIndex(reader_of(outline, source))


def reader_of(outline: Outline, source: ObjectSource) -> ByteReader:
    """The bytes of a content as a reader."""
    return FileReader(ContentFile(FileBytes(outline, source)), outline.length)


def indexes_of(source: ObjectSource, kept: MemberIndexes | None = None) -> MemberIndexes:
    """Finds and keeps the indexes of the archives of a source.

    Args:
        source: A store or a server.
        kept: Keeps indexes that are made here; None for the source itself, if it can.
    """
    if kept is None:
        kept = StoredIndexes(source) if isinstance(source, IndexedStore) else PASSING
    return ServerIndexes(source, kept) if isinstance(source, IndexServer) else kept
