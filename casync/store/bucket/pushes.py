"""Pushes to a store in a bucket: rows, as in a store on disk, which every host sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from casync.ids import Kind, ObjectId
from casync.store.base import ObjectStat
from casync.store.bucket.environment import BucketEnvironment
from casync.store.bucket.writer import BucketWriter
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.objects import Objects
from casync.store.lmdb.pending import Pending
from casync.store.lmdb.pushes import LmdbPushes

__all__ = ["BucketPushes"]


class BucketPushes(LmdbPushes):
    """As `LmdbPushes`.

    Args:
        environment: The tables.
        objects: The store's objects.
        store_id: The UUID of the store.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        environment: BucketEnvironment,
        objects: Objects,
        store_id: bytes,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(environment, objects, store_id, clock)
        self._bucket = environment

    def promise(self, push: bytes, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """As `Pushes.promise`. The push and its objects may have come to another host just now."""
        self._bucket.refresh()
        return super().promise(push, kind, ids)

    def _stage(self, pending: Pending) -> None:
        self._bucket.stage(pending)

    def _writer(self, txn: Txn, now: int) -> BucketWriter:
        return BucketWriter(txn, self._bucket, self._store_id, now)
