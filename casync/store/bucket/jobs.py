"""The jobs of a store in a bucket: a lease says that the runner of one lives, on whatever host.

A late commit of an earlier runner is refused as in a store on disk: each claim raises the epoch of
the row, and the commits of all hosts follow each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from casync.bucket.lease import LEASE_SECONDS, job_lease
from casync.jobs.job import JobRow, JobState
from casync.names.name import NameRecord
from casync.store.bucket.environment import BucketEnvironment
from casync.store.bucket.lease import HeldLease, find_lease, take_lease
from casync.store.job_rules import is_job_id
from casync.store.lmdb.byte_lock import ByteLocks
from casync.store.lmdb.jobs.claim import JobLock, has_runner, lock_job
from casync.store.lmdb.jobs.jobs import LmdbJobs

__all__ = ["BucketJobs"]

_KNOWN_SECONDS: Final = 1.0
"""Age of what is known of a lease from which on it is read again."""


class _Lock:
    """The byte of a job in the tables of this host, and its lease.

    Args:
        locks: What holds the byte.
        lease: The lease.
    """

    def __init__(self, locks: ByteLocks, lease: HeldLease) -> None:
        self._locks = locks
        self._lease = lease

    def close(self) -> None:
        """As `JobLock.close`."""
        self._lease.close()
        self._locks.close()


class BucketJobs(LmdbJobs):
    """As `LmdbJobs`.

    Args:
        environment: The tables.
        store_id: The 16 bytes of the store's UUID.
        clock: Seconds since 1970.
        names: As `ManifestSource.names`.
        key_folder: The folder with the key of secrets; None for that of the tables.
        lease_seconds: For how long the lease of a runner holds without a word of it.
    """

    def __init__(
        self,
        environment: BucketEnvironment,
        store_id: bytes,
        clock: Callable[[], float],
        names: Callable[[str], Iterator[NameRecord]],
        key_folder: Path | None = None,
        lease_seconds: int = LEASE_SECONDS,
    ) -> None:
        super().__init__(environment, store_id, clock, names, key_folder)
        self._bucket = environment
        self._lease_seconds = lease_seconds
        self._known: dict[str, tuple[float, bool]] = {}

    def find(self, ident: str) -> JobRow | None:
        """As `JobStore.find`. The job may have been made on another host just now."""
        row = super().find(ident)
        if row is None and is_job_id(ident):
            self._bucket.refresh()
            row = super().find(ident)
        return row

    def is_running(self, ident: str) -> bool:
        """As `JobStore.is_running`."""
        row = self.find(ident)
        return row is not None and row.state is JobState.RUNNING and self._has_runner(ident)

    def _has_runner(self, ident: str) -> bool:
        if has_runner(self._bucket.path, ident):
            return True
        now = time.monotonic()
        read, lives = self._known.get(ident, (0.0, False))
        if not read or now - read > _KNOWN_SECONDS:
            key = job_lease(ident)
            lives = find_lease(self._bucket.storage, key, self._bucket.clock()) is not None
            self._known[ident] = now, lives
        return lives

    def _lock(self, ident: str, *, runs: bool = False) -> JobLock | None:
        locks = lock_job(self._bucket.path, ident)
        if locks is None:
            return None
        try:
            lease = take_lease(
                self._bucket.storage,
                job_lease(ident),
                clock=self._bucket.clock,
                seconds=self._lease_seconds,
                watches=runs,
            )
        except BaseException:
            locks.close()
            raise
        if isinstance(lease, HeldLease):
            return _Lock(locks, lease)
        locks.close()
        return None
