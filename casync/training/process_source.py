"""A store or a server that every process opens for itself, when it first reads.

LMDB may not be used across a fork. So a store that was opened here is closed before each fork, and
parent and child open it again; a connection to a server stays with the process that made it.
Threads must not read while another one forks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from casync.errors import UsageError, WriteError
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.objects.codec import Packed
from casync.objects.node import Content
from casync.remote.http.address import origin_of
from casync.remote.server.transport_options import TransportOptions
from casync.remote.site.server_at import ServerAt
from casync.store.base import Absence, Batch, Committed, ManifestRow, ObjectStat
from casync.store.lmdb.namespaces import open_for_reading
from casync.store.lmdb.store import LmdbStore

__all__ = ["ProcessSource"]


class ProcessSource:
    """A `ManifestSource` that can be pickled, and used on both sides of a fork.

    Args:
        store: The folder of a store; or
        server: the URL of a server.
        token: The server's token.

    Raises:
        UsageError: Neither is given, or both.
    """

    def __init__(self, store: str = "", server: str = "", token: str = "") -> None:
        if bool(store) == bool(server):
            raise UsageError("give either a store or a server to read from")
        self._arguments = (store, server, token)

    def __reduce__(self) -> tuple[type[ProcessSource], tuple[str, str, str]]:
        return type(self), self._arguments

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProcessSource) and other._arguments == self._arguments

    def __hash__(self) -> int:
        return hash(self._arguments)

    def close(self) -> None:
        """Closes what this process has open at this place. The next read opens it again."""
        with _lock:
            opened = _opened.pop(self._arguments, None)
            if opened is not None:
                opened.close()

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`."""
        return self._source().get(kind, ids)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        return self._source().stat(kind, ids)

    def manifests(self) -> Iterator[ManifestRow]:
        """As `ManifestSource.manifests`."""
        return self._source().manifests()

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """As `ManifestSource.manifest`."""
        return self._source().manifest(ident)

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """As `ManifestSource.names`."""
        return self._source().names(prefix)

    def history(self, name: Name) -> list[NameRecord]:
        """As `ManifestSource.history`."""
        return self._source().history(name)

    def resolve(self, ref: Ref) -> ManifestId:
        """As `ManifestSource.resolve`."""
        return self._source().resolve(ref)

    def member_index(self, archive: bytes) -> Content | None:
        """As `IndexedStore.member_index`."""
        source = self._source()
        return source.member_index(archive) if isinstance(source, LmdbStore) else None

    @property
    def folder(self) -> str:
        """The folder of the store; empty for a server."""
        return self._arguments[0]

    @property
    def origin(self) -> str:
        """The address of the server; empty for a store."""
        return self._arguments[1]

    def archive_index(self, manifest: ManifestId, path: bytes) -> Content | None:
        """As `IndexServer.archive_index`; None for a store."""
        source = self._source()
        return source.archive_index(manifest, path) if isinstance(source, ServerAt) else None

    def commit(self, batch: Batch) -> Committed:
        """As `ObjectStore.commit`, for the indexes of archives.

        Raises:
            WriteError: The store can only be read, or it is a server.
        """
        source = self._source()
        if isinstance(source, LmdbStore):
            return source.commit(batch)
        raise WriteError("indexes of archives are not kept on a server")

    def _source(self) -> LmdbStore | ServerAt:
        with _lock:
            opened = _opened.get(self._arguments)
            if opened is None:
                opened = _opened[self._arguments] = self._open()
            return opened

    def _open(self) -> LmdbStore | ServerAt:
        store, server, token = self._arguments
        if server:
            tokens = {origin_of(server): token} if token else {}
            return ServerAt(server, TransportOptions(tokens=tokens))
        return open_for_reading(Path(store))


_lock: Final = threading.Lock()
_opened: Final[dict[tuple[str, str, str], LmdbStore | ServerAt]] = {}
"""What this process has open, for all sources: LMDB opens a store once per process."""

_inherited: Final[list[ServerAt]] = []
"""Connections of the parent, which a child neither uses nor closes."""


def _before() -> None:
    _lock.acquire()
    for arguments, opened in list(_opened.items()):
        if isinstance(opened, LmdbStore):
            opened.close()
            del _opened[arguments]


def _after_in_child() -> None:
    _inherited.extend(opened for opened in _opened.values() if isinstance(opened, ServerAt))
    _opened.clear()
    _lock.release()


os.register_at_fork(before=_before, after_in_parent=_lock.release, after_in_child=_after_in_child)
