"""A store in a bucket: the tables of a store on disk, kept in step with other hosts.

Objects, names, the trash, quotas, pushes and jobs follow the rules of the store on disk, by its own
code; see `casync.store.bucket.environment` for how a commit reaches the bucket.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn, Self

from casync.bucket.lease import LEASE_SECONDS
from casync.bucket.storage import ObjectStorage
from casync.errors import DamagedStoreError, UnsupportedError
from casync.fs.sorted_rows import PlaceRow, SortedRows
from casync.ids import Kind, ManifestId, ObjectId
from casync.limits import MAP_BYTES, MIB
from casync.store.base import Batch, Committed
from casync.store.bucket.collection import GRACE_SECONDS, BucketCollection
from casync.store.bucket.creation import FoundStore, create_store, find_with_head
from casync.store.bucket.environment import BucketEnvironment
from casync.store.bucket.follower import HeadFollower
from casync.store.bucket.jobs import BucketJobs
from casync.store.bucket.objects import BucketObjects
from casync.store.bucket.pushes import BucketPushes
from casync.store.bucket.record_cache import RecordCache
from casync.store.bucket.tables import HOST_DATABASES, read_standing
from casync.store.bucket.writer import BucketWriter
from casync.store.bucket.writer_session import BucketSession
from casync.store.lmdb import creation
from casync.store.lmdb.commit import put_files
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.meta import FIRST_GENERATION, read_meta, write_meta
from casync.store.lmdb.pending import Pending
from casync.store.lmdb.store import LmdbStore

__all__ = ["BucketStore"]


class BucketStore(LmdbStore):
    """A store in a bucket. Use `open_bucket`, and `close` or a with block."""

    commits_at_once = 3
    _environment: BucketEnvironment
    _objects: BucketObjects
    _grace: float = GRACE_SECONDS
    _closes_storage: bool = False
    _jobs: BucketJobs
    _session: BucketSession

    @classmethod
    def open_bucket(
        cls,
        storage: ObjectStorage,
        path: Path,
        *,
        create: bool = False,
        read_only: bool = False,
        close_storage: bool = False,
        sync: bool = True,
        cache_bytes: int = 0,
        key_folder: Path | None = None,
        lease_seconds: int = LEASE_SECONDS,
        map_bytes: int = MAP_BYTES,
        grace: float = GRACE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Opens the store in a bucket.

        Args:
            storage: The bucket. To be written, it must be safe for writers: see
                `casync.store.bucket.probe`.
            path: The folder of this host's tables, which may be lost at any time.
            create: Make an empty store if there is none.
            read_only: Never write to the bucket.
            close_storage: Close the bucket with the store.
            sync: Bring the tables to the head first. Otherwise a `HeadFollower` does so, and the
                bucket is not needed if the tables have been whole before.
            cache_bytes: Bytes of chunks to keep in memory.
            key_folder: As of `BucketJobs`.
            lease_seconds: As of `BucketJobs`.
            map_bytes: Address space to reserve.
            grace: Seconds for which collections keep what the store no longer needs.
            clock: Seconds since 1970.

        Raises:
            NoStoreError: There is none, and `create` is false.
            DamagedStoreError: It is damaged, or the folder has tables of another store.
            CasyncError: The bucket or the folder cannot be read or written.
        """
        opened = partial(_opened, path, storage, map_bytes=map_bytes, clock=clock)
        known = None if sync else _known_id(path, opened)
        if known is not None:
            found = FoundStore(known, None)
        else:
            found = create_store(storage, int(clock())) if create else find_with_head(storage)
        store_id = found.id
        warnings: list[str] = []
        if not creation.store_exists(path):
            warnings = creation.create(path, map_bytes=map_bytes, allow_network_fs=False)
        creation.finish(path)
        environment = opened(store_id)
        try:
            environment.add_missing_databases()
            _adopt(environment, store_id)
            if sync:
                environment.refresh(found.head)
            environment.commits = not read_only
            store = cls(environment, warnings)
        except BaseException:
            environment.close()
            raise
        store.place = storage.place
        store._objects.cache = RecordCache(cache_bytes)
        store._clock = clock
        store._grace = grace
        store._closes_storage = close_storage
        store._jobs = BucketJobs(
            environment, store_id, clock, store.names, key_folder, lease_seconds
        )
        return store

    @property
    def writable(self) -> bool:
        """As of `LmdbStore`."""
        return self._environment.commits

    def follower(self, say: Callable[[str], None]) -> HeadFollower:
        """What keeps the tables at the head, so that readers need not look for it.

        Args:
            say: As of `HeadFollower`.
        """
        return HeadFollower(self._environment, say)

    def close(self) -> None:
        """As of `LmdbStore`."""
        super().close()
        if self._closes_storage:
            self._environment.storage.close()

    def _open_objects(self) -> BucketObjects:
        return BucketObjects(self._environment)

    def _open_session(self) -> BucketSession:
        return BucketSession(self._environment, self._objects)

    def by_place(self, kind: Kind) -> Iterator[ObjectId]:
        """As `ObjectStore.by_place`: segment by segment."""
        with SortedRows(PlaceRow, PlaceRow.place, "the list of objects") as rows:
            for placed in self.contents.placed(kind):
                rows.add(PlaceRow(placed.segment, placed.offset, placed.id))
            yield from (ManifestId(row.id) for row in rows)

    def expect_commits(self) -> None:
        """As `ObjectStore.expect_commits`."""
        if self.writable:
            self._session.begin()

    def refresh(self) -> None:
        """As `ObjectStore.refresh`: brings the tables to the head."""
        self._environment.refresh()

    def stage(self, batch: Batch) -> None:
        """As `ObjectStore.stage`."""
        self._stage(Pending.of(batch.objects, batch.records))

    def commit(self, batch: Batch) -> Committed:
        """As `ObjectStore.commit`. Files are remembered on this host alone, by a second step."""
        files = Batch(remember=batch.remember, forget=batch.forget)
        committed = super().commit(replace(batch, remember=[], forget=[]))
        if files.remember or files.forget:
            put = partial(put_files, environment=self._environment, batch=files)
            self._environment.write_here(put, need=MIB)
        return committed

    def _stage(self, pending: Pending) -> None:
        self._environment.stage(pending)

    def _writer(self, txn: Txn, now: int) -> BucketWriter:
        return BucketWriter(txn, self._environment, self._store_id, now)

    @property
    def pushes(self) -> BucketPushes:
        """As `WritableStore.pushes`."""
        return BucketPushes(self._environment, self._objects, self._store_id, self._clock)

    @property
    def jobs(self) -> BucketJobs:
        """As `WritableStore.jobs`."""
        return self._jobs

    def collection(
        self, *, window: float, dry_run: bool = False, drop_pushes: bool = False
    ) -> AbstractContextManager[BucketCollection]:
        """As `CollectableStore.collection`."""
        begin = partial(BucketCollection, self._environment, self._store_id, grace=self._grace)
        now = int(self._clock())
        return closing(begin(now=now, window=window, dry_run=dry_run, drop_pushes=drop_pushes))

    def backup(self, folder: Path, *, advance: Callable[[int], None] = lambda _: None) -> NoReturn:
        """Refused: a copy of this host's tables has no objects.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(
            f"{self.place} is no file that could be copied as it is",
            next_step="`casync store copy` copies it into another bucket or a folder.",
        )


def _opened(
    path: Path,
    storage: ObjectStorage,
    store_id: bytes,
    *,
    map_bytes: int,
    clock: Callable[[], float],
) -> BucketEnvironment:
    """The tables in a folder.

    Raises:
        DamagedStoreError: They are damaged. Nothing is lost, since the bucket has all of it.
        CasyncError: They cannot be read.
    """
    try:
        return BucketEnvironment(path, storage, store_id, map_bytes=map_bytes, clock=clock)
    except DamagedStoreError as error:
        raise DamagedStoreError(
            error.message, next_step=f"Remove {path}: it is read from the bucket again."
        ) from error


def _known_id(path: Path, opened: Callable[[bytes], BucketEnvironment]) -> bytes | None:
    """The UUID of the store whose whole tables lie in a folder; None if there are none."""
    if not creation.store_exists(path):
        return None
    with closing(opened(bytes(16))) as environment:
        databases = environment.databases
        if not databases.keys() >= {"meta", *HOST_DATABASES}:
            return None
        with environment.reading() as txn:
            if read_standing(txn, databases).head is None:
                return None
            return read_meta(txn, databases["meta"], path).store_id


def _adopt(environment: BucketEnvironment, store_id: bytes) -> None:
    """Makes new tables those of a store.

    Raises:
        DamagedStoreError: They are those of another one.
    """
    meta = environment.databases["meta"]

    def write(txn: Txn) -> None:
        standing = read_standing(txn, environment.databases)
        if standing.version == 0 and not standing.seen:
            write_meta(txn, meta, store_id, FIRST_GENERATION)
        elif read_meta(txn, meta, environment.path).store_id != store_id:
            raise DamagedStoreError(
                f"{environment.path} has tables of another store than {environment.storage.place}",
                next_step="Remove the folder if it is not needed.",
            )

    environment.write_here(write, need=0)
