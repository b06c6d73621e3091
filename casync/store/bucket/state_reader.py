"""Reads the head and the runs of a store in a bucket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from casync.bucket.head import BucketHead, RunEntry, decode_head
from casync.bucket.keys import HEAD_KEY, MARKER_KEY, run_key
from casync.bucket.run import TableRun, decode_run
from casync.bucket.storage import ObjectStorage, StoredObject, Tag
from casync.errors import DamagedStoreError, MalformedError, NoStoreError
from casync.store.bucket.run_file import RunFile

__all__ = ["SeenHead", "StateReader"]

_Run = TypeVar("_Run", TableRun, RunFile)


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

    @property
    def place(self) -> str:
        """As `ObjectStorage.place`."""
        return self._storage.place

    def head(self) -> SeenHead:
        """The head as it is now.

        Raises:
            NoStoreError: The whole store is missing.
            DamagedStoreError: It is missing or damaged.
            CasyncError: The bucket cannot be read.
        """
        stored = self._storage.get(HEAD_KEY)
        if stored is None:
            if self._storage.get(MARKER_KEY) is None:
                raise NoStoreError(
                    f"the store at {self._storage.place} is gone",
                    next_step="Look whether it was moved, or its disk is not mounted.",
                )
            raise DamagedStoreError(f"{self._storage.place} has lost its head")
        return self.decode(stored)

    def decode(self, stored: StoredObject) -> SeenHead:
        """The head that was read.

        Raises:
            DamagedStoreError: It is damaged.
        """
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
        return self._read(entry, decode_run)

    def file(self, entry: RunEntry, folder: Path) -> RunFile | None:
        """As `run`, to be read block by block.

        Args:
            entry: The run.
            folder: Where large ones are kept.
        """
        return self._read(entry, lambda data: RunFile(data, folder))

    def _read(self, entry: RunEntry, decode: Callable[[bytes], _Run]) -> _Run | None:
        key = run_key(entry.part)
        stored = self._storage.get(key)
        if stored is None:
            if entry in self.head().head.runs:
                raise DamagedStoreError(f"{self._storage.place} has lost {key}")
            return None
        try:
            run = decode(stored.data)
        except MalformedError as error:
            raise DamagedStoreError(f"{self._storage.place}: {key}: {error.message}") from error
        self._check(run.store, key)
        return run

    def _check(self, store: bytes, key: str) -> None:
        if store != self._store_id:
            raise DamagedStoreError(f"{self._storage.place}: {key} is of another store")
