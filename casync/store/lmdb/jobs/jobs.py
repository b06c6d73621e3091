"""The jobs of a store on disk.

A runner holds the lock on its job's byte of the lock file, which the kernel frees when the process
ends, and writes with the epoch that its claim has raised. So one runner lives at a time, and a
late commit of an earlier one is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from casync.errors import DamagedStoreError, LockedError, MalformedError, UsageError
from casync.jobs.encoding import encode
from casync.jobs.fault import ObjectFault
from casync.jobs.half_fetched import FetchedPart, HalfFetched, half_fetched
from casync.jobs.item import Item
from casync.jobs.job import JobRow, make_job_id
from casync.jobs.origin import Origin
from casync.jobs.spec import JobSpec, decode_secrets
from casync.names.name import Name, NameRecord
from casync.store.job_rules import (
    ENDED,
    aborted,
    by_age,
    claimed,
    continued,
    is_job_id,
    no_job,
    refuse_another,
    unfinished,
)
from casync.store.jobs import JobClaim
from casync.store.lmdb.environment import Environment, Txn
from casync.store.lmdb.jobs.claim import JobLock, LmdbClaim, has_runner, lock_job
from casync.store.lmdb.jobs.commit import put_job, read_job
from casync.store.lmdb.jobs.items import JobItems
from casync.store.lmdb.jobs.key import JobKey
from casync.store.lmdb.jobs.origins import each_origin, find_origins
from casync.store.lmdb.jobs.rows import (
    decode_fault,
    decode_job,
    decode_part,
    encode_time,
    fault_key,
    is_job_key,
    job_key,
    part_number,
    parts_prefix,
    stop_key,
)
from casync.store.lmdb.jobs.upkeep import JOB_TABLES, remove_rows
from casync.store.lmdb.quota import check_quota
from casync.store.lmdb.scan import scan

__all__ = ["LmdbJobs"]

_SPEC: Final = b"spec"
_ID_BYTES: Final = 8
_ROW_BYTES: Final = 64 * 1024  # upper bound of what a commit of one row writes


class LmdbJobs:
    """The `JobStore` of one open store.

    Args:
        environment: The store's environment.
        store_id: The 16 bytes of the store's UUID.
        clock: Seconds since 1970.
        names: As `ManifestSource.names`.
        key_folder: The folder with the key of secrets, if it is not that of the store.
    """

    def __init__(
        self,
        environment: Environment,
        store_id: bytes,
        clock: Callable[[], float],
        names: Callable[[str], Iterator[NameRecord]],
        key_folder: Path | None = None,
    ) -> None:
        self._environment = environment
        self._clock = clock
        self._names = names
        self._key = JobKey(key_folder or environment.path, store_id)
        self._items = JobItems(environment, self._key)

    # -- Jobs ---------------------------------------------------------------------------------

    def create(self, spec: JobSpec, now: int) -> JobRow:
        """As `JobStore.create`."""
        ident = make_job_id(secrets.token_bytes(_ID_BYTES))
        sealed = self._sealed(ident, spec)  # the first one makes the key
        fresh = JobRow(ident, spec.without_secrets(), spec.digest, now, sealed)

        def write(txn: Txn) -> JobRow:
            rows = [decode_job(value) for _, value in self._all(txn)]
            present = unfinished(rows, spec.digest)
            if present is None:
                refuse_another(len(rows))
                check_quota(txn, self._environment.databases["meta"])
                put_job(txn, self._environment.databases, fresh)
                return fresh
            if not self._has_runner(present.id):
                again = self._sealed(present.id, spec)
                present = continued(present, spec.without_secrets(), again)
                put_job(txn, self._environment.databases, present)
            return present

        return self._environment.write(write, need=_ROW_BYTES)

    def _sealed(self, ident: str, spec: JobSpec) -> bytes:
        if spec.secrets is None:
            return b""
        return self._key.seal(ident, _SPEC, encode(spec.secrets))

    def _in_full(self, row: JobRow) -> JobSpec:
        """The specification of a job with its secrets."""
        if not row.sealed:
            return row.spec
        headers = [f"header {name}" for name, _ in row.spec.headers]
        what = ", ".join([row.spec.source, *headers])
        plain = self._key.open(row.id, _SPEC, row.sealed, what)
        return row.spec.with_secrets(decode_secrets(plain))

    def find(self, ident: str) -> JobRow | None:
        """As `JobStore.find`."""
        if not self._is_here or not is_job_id(ident):
            return None
        with self._environment.reading() as txn:
            return read_job(txn, self._environment.databases, ident)

    def matching(self, prefix: str) -> list[JobRow]:
        """As `JobStore.matching`."""
        return [row for row in self.rows() if row.id.startswith(prefix)]

    def rows(self) -> Iterator[JobRow]:
        """As `JobStore.rows`."""
        if not self._is_here:
            return iter(())
        found = scan(self._environment, "jobs")
        return iter(by_age(decode_job(value) for key, value in found if is_job_key(key)))

    @property
    def _is_here(self) -> bool:
        """Whether the store has databases for jobs: an early one that is only read has none."""
        return "origins" in self._environment.databases

    def _all(self, txn: Txn) -> Iterator[tuple[bytes, bytes]]:
        """The rows of all jobs, in a write transaction that has written nothing yet."""
        for key, value in txn.cursor(self._environment.databases["jobs"]).iternext():
            if is_job_key(bytes(key)):
                yield bytes(key), bytes(value)

    def is_running(self, ident: str) -> bool:
        """As `JobStore.is_running`."""
        return is_job_id(ident) and self._has_runner(ident)

    def _has_runner(self, ident: str) -> bool:
        return has_runner(self._environment.path, ident)

    def _lock(self, ident: str, *, runs: bool = False) -> JobLock | None:
        """Keeps others from running a job; None if one does.

        Args:
            ident: The job.
            runs: Whether it is to be run here.
        """
        return lock_job(self._environment.path, ident)

    # -- Running ------------------------------------------------------------------------------

    def claim(self, ident: str, *, restart: bool = False) -> LmdbClaim:
        """As `JobStore.claim`."""
        self._check(ident)
        lock = self._lock(ident, runs=True)
        if lock is None:
            raise LockedError(
                f"job {ident} is running in another process",
                next_step=f"`casync job show {ident}` shows it; `job stop` stops it.",
            )
        now = int(self._clock())

        def write(txn: Txn) -> tuple[JobRow, JobSpec]:
            row = claimed(self._row(txn, ident), now)
            spec = self._in_full(row)
            put_job(txn, self._environment.databases, row)
            if restart:
                txn.delete(stop_key(ident), db=self._environment.databases["jobs"])
            return row, spec

        try:
            row, spec = self._environment.write(write, need=_ROW_BYTES)
        except BaseException:
            lock.close()
            raise
        return LmdbClaim(self._environment, lock, row, spec)

    def request_stop(self, ident: str) -> JobRow:
        """As `JobStore.request_stop`."""
        self._check(ident)
        lock, now = self._lock(ident), int(self._clock())

        def write(txn: Txn) -> JobRow:
            row = self._row(txn, ident)
            if row.state in ENDED:
                return row
            if lock is not None:
                row = aborted(row, now)
                put_job(txn, self._environment.databases, row)
            else:
                jobs = self._environment.databases["jobs"]
                txn.put(stop_key(ident), encode_time(now), db=jobs)
            return row

        try:
            return self._environment.write(write, need=_ROW_BYTES)
        finally:
            if lock is not None:
                lock.close()

    def remove(self, ident: str) -> None:
        """As `JobStore.remove`."""
        self._check(ident)
        lock = self._lock(ident)
        if lock is None:
            raise UsageError(
                f"job {ident} is running", next_step=f"Stop it first: casync job stop {ident}."
            )
        try:
            self._environment.check_pages(JOB_TABLES)
            remove_rows(self._environment, ident)
        finally:
            lock.close()

    def _check(self, ident: str) -> None:
        """Refuses an id without a job, before its byte is locked."""
        if self.find(ident) is None:
            raise no_job(ident)

    def _row(self, txn: Txn, ident: str) -> JobRow:
        row = read_job(txn, self._environment.databases, ident)
        if row is None:
            raise no_job(ident)
        return row

    # -- Items and objects --------------------------------------------------------------------

    def add_items(self, claim: JobClaim, block: int, items: Sequence[Item]) -> None:
        """As `JobStore.add_items`."""
        self._items.add(claim.row.id, claim.row.epoch, block, items)

    def items(self, ident: str, from_index: int = 0) -> Iterator[Item]:
        """As `JobStore.items`."""
        known = self._is_here and is_job_id(ident)
        return self._items.each(ident, from_index) if known else iter(())

    def faults(self, ident: str, after: int = -1, limit: int = 1000) -> list[ObjectFault]:
        """As `JobStore.faults`."""
        if not self._is_here or not is_job_id(ident):
            return []
        first = fault_key(ident, max(after + 1, 0))
        rows = scan(self._environment, "job_faults", prefix=job_key(ident), first=first)
        return [decode_fault(value) for _, value in islice(rows, limit)]

    def parts(self, ident: str, index: int) -> HalfFetched | None:
        """As `JobStore.parts`."""
        if not self._is_here or not is_job_id(ident):
            return None
        try:
            return half_fetched(partial(self._parts, ident, index))
        except (DamagedStoreError, MalformedError):
            return None  # the object starts over

    def _parts(self, ident: str, index: int) -> Iterator[FetchedPart]:
        rows = scan(self._environment, "job_parts", prefix=parts_prefix(ident, index))
        for number, (key, value) in enumerate(rows):
            if part_number(key) != number:
                raise MalformedError("a part of a half-fetched object is missing")
            yield decode_part(value)

    # -- Origins ------------------------------------------------------------------------------

    def origin(self, name: Name) -> Origin | None:
        """As `JobStore.origin`."""
        return self.origins_of([name])[0]

    def origins_of(self, names: Sequence[Name]) -> list[Origin | None]:
        """As `JobStore.origins_of`."""
        return find_origins(self._environment, names) if self._is_here else [None] * len(names)

    def origins(self, prefix: str = "") -> Iterator[tuple[Name, Origin]]:
        """As `JobStore.origins`."""
        return each_origin(self._environment, self._names(prefix)) if self._is_here else iter(())
