"""Reads the head and the runs of a store in a bucket."""

from __future__ import annotations

from typing import NamedTuple

from casync.bucket.head import BucketHead, RunEntry, decode_head
from casync.bucket.keys import HEAD_KEY, run_key
from casync.bucket.run import TableRun, decode_run
from casync.bucket.storage import ObjectStorage, Tag
from casync.errors import DamagedStoreError, MalformedError

__all__ = ["SeenHead", "StateReader"]


class SeenHead(NamedTuple):
    """The head, and the tag of this state of it."""

    head: BucketHead
    tag: Tag


class StateReader:
    """Reads one store. Whatever is there but damaged, or of another store, is refused.

    Args:
        storage: The bucket.
        store_id: The UUID of the store.
    """

    def __init__(self, storage: ObjectStorage, store_id: bytes) -> None:
        self._storage = storage
        self._store_id = store_id

    def head(self) -> SeenHead:
        """The head as it is now.

        Raises:
            DamagedStoreError: It is missing or damaged.
            CasyncError: The bucket cannot be read.
        """
        stored = self._storage.get(HEAD_KEY)
        if stored is None:
            raise DamagedStoreError(f"{self._storage.place} has lost its head")
        try:
            head = decode_head(stored.data)
        except MalformedError as error:
            raise DamagedStoreError(f"{self._storage.place}: {error.message}") from error
        self._check(head.store, HEAD_KEY)
        return SeenHead(head, stored.tag)

    def run(self, entry: RunEntry) -> TableRun | None:
        """A run of a head; None if it was merged since.

        Raises:
            DamagedStoreError, CasyncError: As `head`.
        """
        key = run_key(entry.part)
        stored = self._storage.get(key)
        if stored is None:
            if entry in self.head().head.runs:
                raise DamagedStoreError(f"{self._storage.place} has lost {key}")
            return None
        try:
            run = decode_run(stored.data)
        except MalformedError as error:
            raise DamagedStoreError(f"{self._storage.place}: {key}: {error.message}") from error
        self._check(run.store, key)
        return run

    def _check(self, store: bytes, key: str) -> None:
        if store != self._store_id:
            raise DamagedStoreError(f"{self._storage.place}: {key} is of another store")
