"""The namespaces of a worker: which store a request works with, by the token that it came with.

A request of another namespace gets a service over that namespace's store and nothing else, so no
route can answer from what is foreign, however it is written. Stores are opened when the first
request for them comes, and stay open. Must not know about routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from casync.store.lmdb.namespaces import open_namespace
from casync.store.lmdb.store import LmdbStore
from casync_server.access.metrics import StoreMetrics
from casync_server.deps import Service
from casync_server.pushes.proving import Proofs

__all__ = ["Namespaces"]


class Namespaces:
    """The services of one worker, for each namespace besides the default one.

    Args:
        path: The store's folder.
        service: That of the default namespace, from which the others take their bounds.
    """

    def __init__(self, path: Path, service: Service) -> None:
        self._path = path
        self._service = service
        self._open: dict[str, tuple[LmdbStore, Service]] = {}
        self._opening = asyncio.Lock()

    async def service(self, namespace: str) -> Service:
        """What a request of a namespace works with.

        Raises:
            CasyncError: Its store cannot be opened.
        """
        if namespace not in self._open:
            async with self._opening:
                if namespace not in self._open:
                    self._open[namespace] = await self._service.read(lambda: self._begin(namespace))
        return self._open[namespace][1]

    def _begin(self, namespace: str) -> tuple[LmdbStore, Service]:
        writing = self._service.writing
        store = open_namespace(self._path, namespace, read_only=writing is None)
        if writing is not None:
            proofs = Proofs(store, self._service.settings.prove_seconds)
            writing = replace(writing, store=store, proofs=proofs)
        service = replace(
            self._service,
            store=store,
            store_id=store.store_id,
            metrics=StoreMetrics(store),
            writing=writing,
        )
        return store, service

    def stores(self) -> Iterator[LmdbStore]:
        """Those that are open."""
        return (store for store, _ in list(self._open.values()))

    def close(self) -> None:
        """Closes them all."""
        for store in self.stores():
            store.close()
        self._open.clear()
