"""The namespaces of a worker: the token of a request selects the store.

A request gets a service over the store of its namespace only, so no route can answer from another
namespace. The first request for a store opens it, and it stays open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from casync.access.member_indexes import StoredIndexes
from casync.store.bucket.follower import HeadFollower
from casync.store.bucket.store import BucketStore
from casync.store.lmdb.store import LmdbStore
from casync_server.access.log_sink import to_stderr
from casync_server.access.metrics import StoreMetrics
from casync_server.deps import Service
from casync_server.faults import Faults
from casync_server.pushes.proving import Proofs
from casync_server.reading.checked_source import CheckedSource
from casync_server.stores import ServedStores

__all__ = ["Namespaces"]


class Namespaces:
    """The services of one worker, one for each namespace other than the default.

    Args:
        stores: The stores.
        service: The service of the default namespace; the others take its limits.
        faults: Refuses stores on which workers died.
    """

    def __init__(self, stores: ServedStores, service: Service, faults: Faults) -> None:
        self._stores = stores
        self._service = service
        self._faults = faults
        self._open: dict[str, tuple[LmdbStore, Service]] = {}
        self._opening = asyncio.Lock()
        self._read_only = service.writing is None and service.jobs is None

    async def service(self, namespace: str) -> Service:
        """The service of a namespace; opens its store if needed.

        Raises:
            CasyncError: The store cannot be opened, or workers died on it.
        """
        self._faults.check(namespace)
        if namespace not in self._open:
            async with self._opening:
                if namespace not in self._open:
                    self._open[namespace] = await self._service.read(lambda: self._begin(namespace))
        return self._open[namespace][1]

    def _begin(self, namespace: str) -> tuple[LmdbStore, Service]:
        writing = self._service.writing
        store = self._stores.open_for_clients(namespace, read_only=self._read_only)
        store.watch(self._faults.watcher(namespace))
        if writing is not None:
            proofs = Proofs(store, self._service.settings.prove_seconds)
            writing = replace(writing, store=store, proofs=proofs)
        jobs = self._service.jobs
        if jobs is not None:
            own = replace(jobs.service, store=lambda: store, namespace=namespace)
            jobs = replace(jobs, service=own)
        follower: HeadFollower | None = None
        if isinstance(store, BucketStore):
            follower = store.follower(to_stderr)
            follower.start()
        service = replace(
            self._service,
            follower=follower,
            store=CheckedSource(store),
            store_id=lambda: store.store_id,
            metrics=StoreMetrics(store),
            writing=writing,
            jobs=jobs,
            member_indexes=StoredIndexes(store),
        )
        return store, service

    def stores(self) -> Iterator[LmdbStore]:
        """The open stores."""
        return (store for store, _ in list(self._open.values()))

    def close(self) -> None:
        """Closes all stores."""
        for store, service in list(self._open.values()):
            if service.follower is not None:
                service.follower.stop()
            store.close()
        self._open.clear()
