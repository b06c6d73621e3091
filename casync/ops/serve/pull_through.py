"""A cache in front of a server: fetches missing objects, proves, stores and returns them.

Concurrent requests for one object share one fetch. Names and lists always come from the server;
objects never change, so those in the store are returned without asking it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from typing import Final, Protocol, TypeAlias

from casync.errors import CasyncError, IntegrityError, NoSpaceError, RemoteError, WriteError
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, Ref
from casync.objects.codec import Packed, Unpacker, Verified
from casync.objects.node import Content
from casync.store.base import (
    Absence,
    Batch,
    ManifestRow,
    ManifestSource,
    ManifestState,
    ObjectStat,
    ObjectStore,
)
from casync.store.member_indexes import IndexServer

__all__ = ["PullThrough", "Turns"]

_AT_ONCE: Final = 128
"""Objects that are looked up and fetched together: a few MiB of chunks."""

_Key: TypeAlias = tuple[Kind, ObjectId]


class Turns(Protocol):
    """Decides which of several processes with one store fetches an object."""

    def take(self, ids: Sequence[ObjectId]) -> AbstractContextManager[list[ObjectId]]:
        """Gives the ids that no other process is fetching, and reserves them within the block."""
        ...

    def wait(self, ids: Sequence[ObjectId]) -> None:
        """Waits until no other process is fetching any of `ids`."""
        ...


class PullThrough:
    """A `ManifestSource` made of a store and a server. Safe for threads.

    No manifest of the store leads to fetched objects, so a collection removes them again. When
    there is no room, objects are returned without being stored.

    Args:
        store: Stores fetched objects.
        server: Has everything.
        turns: Coordinates with other processes that use the store.
    """

    def __init__(self, store: ObjectStore, server: ManifestSource, turns: Turns) -> None:
        self._store = store
        self._server = server
        self._turns = turns
        self._lock = threading.Lock()
        self._fetching: dict[_Key, Future[Packed | Absence]] = {}
        self._unpacker = Unpacker()

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        """As `ObjectSource.get`.

        Raises:
            RemoteError: The store lacks an object, and the server failed.
        """
        for start in range(0, len(ids), _AT_ONCE):
            group = ids[start : start + _AT_ONCE]
            found, absent = self._look(kind, group)
            if absent:
                found.update(self._fetch(kind, absent))
            for ident in group:
                yield found[ident]

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `ObjectSource.stat`."""
        found = dict(zip(ids, self._store.stat(kind, ids), strict=True))
        absent = [ident for ident, stat in found.items() if stat is None]
        if absent:
            found.update(zip(absent, self._server.stat(kind, absent), strict=True))
        return [found[ident] for ident in ids]

    def manifests(self) -> Iterator[ManifestRow]:
        """The manifests of the server."""
        return self._server.manifests()

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        """The row of one manifest: that of the store if it is full there, else the server's."""
        row = self._store.manifest(ident)
        if row is not None and row.state is ManifestState.FULL:
            return row
        return self._server.manifest(ident)

    def names(self, prefix: str = "") -> Iterator[NameRecord]:
        """The names of the server."""
        return self._server.names(prefix)

    def history(self, name: Name) -> list[NameRecord]:
        """The history of a name on the server."""
        return self._server.history(name)

    def resolve(self, ref: Ref) -> ManifestId:
        """As `ManifestSource.resolve`. The server resolves names; a hash may be in the store."""
        if ref.manifest is not None:
            (stat,) = self._store.stat(Kind.MANIFEST, [ref.manifest])
            if stat is not None:
                return ref.manifest
        return self._server.resolve(ref)

    @property
    def origin(self) -> str:
        """The server in messages; empty if it has no address."""
        return self._server.origin if isinstance(self._server, IndexServer) else ""

    def archive_index(self, manifest: ManifestId, path: bytes) -> Content | None:
        """As `IndexServer.archive_index`: the word of the server."""
        server = self._server
        return server.archive_index(manifest, path) if isinstance(server, IndexServer) else None

    def _fetch(self, kind: Kind, ids: Sequence[ObjectId]) -> dict[ObjectId, Packed | Absence]:
        """Fetches objects. Waits for those that other threads are fetching already."""
        mine: list[ObjectId] = []
        awaited: dict[ObjectId, Future[Packed | Absence]] = {}
        with self._lock:
            for ident in ids:
                future = self._fetching.get((kind, ident))
                if future is None:
                    mine.append(ident)
                    future = self._fetching[kind, ident] = Future()
                awaited[ident] = future
        try:
            found = self._bring(kind, mine) if mine else {}
        except BaseException as error:
            self._settle(kind, mine, error)
            raise
        self._settle(kind, mine, found)
        return {ident: future.result() for ident, future in awaited.items()}

    def _settle(
        self,
        kind: Kind,
        ids: Sequence[ObjectId],
        outcome: dict[ObjectId, Packed | Absence] | BaseException,
    ) -> None:
        """Completes the futures of the threads that wait."""
        with self._lock:
            futures = {ident: self._fetching.pop((kind, ident)) for ident in ids}
        for ident, future in futures.items():
            if isinstance(outcome, dict):
                future.set_result(outcome[ident])
            else:
                shown = isinstance(outcome, CasyncError)
                future.set_exception(outcome if shown else RemoteError("the fetch was cancelled"))

    def _bring(self, kind: Kind, ids: Sequence[ObjectId]) -> dict[ObjectId, Packed | Absence]:
        """Fetches what no other process is fetching, then waits for those and reads the rest.

        Both parts look into the store first: another process may have stored an object meanwhile.
        Both may fetch: another process may have failed to store it.
        """
        with self._turns.take(ids) as mine:
            found = self._here_or_there(kind, mine)
        others = [ident for ident in ids if ident not in found]
        if others:
            self._turns.wait(others)
            found |= self._here_or_there(kind, others)
        return found

    def _here_or_there(
        self, kind: Kind, ids: Sequence[ObjectId]
    ) -> dict[ObjectId, Packed | Absence]:
        """Some objects from the store, or else from the server."""
        found, absent = self._look(kind, ids)
        return found | self._ask(kind, absent) if absent else found

    def _look(
        self, kind: Kind, ids: Sequence[ObjectId]
    ) -> tuple[dict[ObjectId, Packed | Absence], list[ObjectId]]:
        """The store's answers for some objects, and the ids that it lacks."""
        found = dict(zip(ids, self._store.get(kind, ids), strict=True))
        absent = [ident for ident, answer in found.items() if not isinstance(answer, Packed)]
        return found, absent

    def _ask(self, kind: Kind, ids: Sequence[ObjectId]) -> dict[ObjectId, Packed | Absence]:
        """Fetches, proves and stores objects."""
        found: dict[ObjectId, Packed | Absence] = {}
        proved: list[Verified] = []
        for ident, answer in zip(ids, self._server.get(kind, ids), strict=True):
            if isinstance(answer, Packed):
                try:
                    proved.append(self._unpacker.verify(answer)[0])
                except IntegrityError:
                    answer = Absence.DAMAGED
            found[ident] = answer
        with suppress(NoSpaceError, WriteError):  # a cache that cannot write still returns objects
            self._store.commit(Batch(objects=proved))
        return found
