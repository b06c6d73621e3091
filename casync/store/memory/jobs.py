"""The jobs of a store in memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Self

from casync.errors import LockedError, MalformedError, UsageError
from casync.jobs.fault import ObjectFault
from casync.jobs.half_fetched import HalfFetched, half_fetched
from casync.jobs.item import Item
from casync.jobs.job import JobRow, JobState, make_job_id
from casync.jobs.origin import Origin
from casync.jobs.spec import JobSpec
from casync.limits import JOB_BLOCK_ITEMS
from casync.names.name import Name
from casync.store.job_rules import (
    ENDED,
    aborted,
    by_age,
    check_block,
    check_fence,
    check_listed,
    claimed,
    continued,
    expired,
    no_job,
    refuse_another,
    unfinished,
)
from casync.store.jobs import JobClaim, JobUpdate
from casync.store.memory.tables import JobTables, Tables

__all__ = ["MemoryClaim", "MemoryJobs", "put_update", "sweep_jobs"]

_ID_BYTES: Final = 8


class MemoryJobs:
    """The `JobStore` of a store in memory. Secrets are not sealed.

    Args:
        tables: The store.
        clock: Seconds since 1970.
    """

    def __init__(self, tables: Tables, clock: Callable[[], float]) -> None:
        self._tables = tables
        self._jobs = tables.jobs
        self._clock = clock

    def create(self, spec: JobSpec, now: int) -> JobRow:
        """As `JobStore.create`."""
        with self._tables.lock:
            row = unfinished(self._jobs.rows.values(), spec.digest)
            if row is None:
                refuse_another(len(self._jobs.rows))
                ident = make_job_id(secrets.token_bytes(_ID_BYTES))
                row = JobRow(ident, spec.without_secrets(), spec.digest, now)
            elif row.id in self._jobs.runners:
                return row
            else:
                row = continued(row, spec.without_secrets(), row.sealed)
            self._jobs.rows[row.id] = row
            self._jobs.specs[row.id] = spec
            return row

    def find(self, ident: str) -> JobRow | None:
        """As `JobStore.find`."""
        return self._jobs.rows.get(ident)

    def matching(self, prefix: str) -> list[JobRow]:
        """As `JobStore.matching`."""
        return [row for row in self.rows() if row.id.startswith(prefix)]

    def rows(self) -> Iterator[JobRow]:
        """As `JobStore.rows`."""
        with self._tables.lock:
            return iter(by_age(self._jobs.rows.values()))

    def is_running(self, ident: str) -> bool:
        """As `JobStore.is_running`."""
        return ident in self._jobs.runners

    def claim(self, ident: str, *, restart: bool = False) -> MemoryClaim:
        """As `JobStore.claim`."""
        with self._tables.lock:
            row = self._row(ident)
            if ident in self._jobs.runners:
                raise LockedError(f"job {ident} is running already")
            row = self._jobs.rows[ident] = claimed(row, int(self._clock()))
            if restart:
                self._jobs.stops.discard(ident)
            self._jobs.runners[ident] = row.epoch
            return MemoryClaim(self._tables, row, self._jobs.specs[ident])

    def request_stop(self, ident: str) -> JobRow:
        """As `JobStore.request_stop`."""
        with self._tables.lock:
            row = self._row(ident)
            if row.state in ENDED:
                return row
            if ident in self._jobs.runners:
                self._jobs.stops.add(ident)
                return row
            self._jobs.stops.discard(ident)
            row = self._jobs.rows[ident] = aborted(row, int(self._clock()))
            return row

    def remove(self, ident: str) -> None:
        """As `JobStore.remove`."""
        with self._tables.lock:
            self._row(ident)
            if ident in self._jobs.runners:
                raise UsageError(f"job {ident} is running")
            _forget(self._jobs, ident)

    def _row(self, ident: str) -> JobRow:
        if (row := self.find(ident)) is None:
            raise no_job(ident)
        return row

    def add_items(self, claim: JobClaim, block: int, items: Sequence[Item]) -> None:
        """As `JobStore.add_items`."""
        ident = claim.row.id
        with self._tables.lock:
            row = check_fence(ident, self.find(ident), claim.row.epoch)
            blocks = self._jobs.items.setdefault(ident, [])
            last = len(blocks[-1]) if blocks else 0
            check_block(row, block, len(items), blocks=len(blocks), last=last)
            blocks[block:] = [list(items)]

    def items(self, ident: str, from_index: int = 0) -> Iterator[Item]:
        """As `JobStore.items`."""
        while (row := self.find(ident)) is not None:
            block, skip = divmod(from_index, JOB_BLOCK_ITEMS)
            blocks = self._jobs.items.get(ident, [])
            found = blocks[block][skip:] if block < len(blocks) else []
            if row.total >= 0:
                found = found[: max(row.total - from_index, 0)]
            yield from found
            from_index += len(found)
            if skip + len(found) < JOB_BLOCK_ITEMS:
                check_listed(row, from_index)
                return

    def faults(self, ident: str, after: int = -1, limit: int = 1000) -> list[ObjectFault]:
        """As `JobStore.faults`."""
        with self._tables.lock:
            found = sorted(self._jobs.faults.get(ident, {}).items())
        return [fault for index, fault in found if index > after][:limit]

    def parts(self, ident: str, index: int) -> HalfFetched | None:
        """As `JobStore.parts`."""
        with self._tables.lock:
            found = list(self._jobs.parts.get(ident, {}).get(index, ()))
        try:
            return half_fetched(lambda: found)
        except MalformedError:
            return None

    def origin(self, name: Name) -> Origin | None:
        """As `JobStore.origin`."""
        with self._tables.lock:
            return _valid_origin(self._tables, name)

    def origins_of(self, names: Sequence[Name]) -> list[Origin | None]:
        """As `JobStore.origins_of`."""
        with self._tables.lock:
            return [_valid_origin(self._tables, name) for name in names]

    def origins(self, prefix: str = "") -> Iterator[tuple[Name, Origin]]:
        """As `JobStore.origins`."""
        with self._tables.lock:
            names = sorted(name for name in self._jobs.origins if name.startswith(prefix))
        for name in names:
            if (origin := self.origin(name)) is not None:
                yield name, origin


class MemoryClaim:
    """A `JobClaim`."""

    def __init__(self, tables: Tables, row: JobRow, spec: JobSpec) -> None:
        self._tables = tables
        self.row = row
        self.spec = spec

    def stop_requested(self) -> bool:
        """As `JobClaim.stop_requested`."""
        jobs = self._tables.jobs
        row = jobs.rows.get(self.row.id)
        return self.row.id in jobs.stops or row is None or row.epoch != self.row.epoch

    def release(self) -> None:
        """As `JobClaim.release`."""
        with self._tables.lock:
            if self._tables.jobs.runners.get(self.row.id) == self.row.epoch:
                del self._tables.jobs.runners[self.row.id]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def put_update(
    jobs: JobTables, update: JobUpdate | None, origins: Iterable[tuple[Name, Origin]]
) -> None:
    """Writes the job's part of a commit, which has been checked."""
    jobs.origins.update(origins)
    if update is None:
        return
    ident = update.row.id
    jobs.rows[ident] = update.row
    if update.row.state in ENDED:
        jobs.stops.discard(ident)
    jobs.faults.setdefault(ident, {}).update((fault.index, fault) for fault in update.faults)
    parts = jobs.parts.setdefault(ident, {})
    for index in [*parts] if update.row.state is JobState.FINISHED else update.done:
        parts.pop(index, None)
    for index, part in update.parts:
        parts.setdefault(index, []).append(part)


def sweep_jobs(tables: Tables, now: int) -> int:
    """As `Collection.sweep_jobs`."""
    jobs = tables.jobs
    old = expired(jobs.rows.values(), now)
    for row in old:
        _forget(jobs, row.id)
    finished = [row.id for row in jobs.rows.values() if row.state is JobState.FINISHED]
    lists = [ident for ident in finished if jobs.items.pop(ident, None)]
    stale = [name for name in jobs.origins if _valid_origin(tables, name) is None]
    for name in stale:
        del jobs.origins[name]
    return len(old) + len(lists) + len(stale)


def _forget(jobs: JobTables, ident: str) -> None:
    del jobs.rows[ident]
    jobs.stops.discard(ident)
    for table in (jobs.specs, jobs.items, jobs.faults, jobs.parts):
        table.pop(ident, None)


def _valid_origin(tables: Tables, name: Name) -> Origin | None:
    origin, versions = tables.jobs.origins.get(name), tables.names.get(name)
    if origin is None or not versions or versions[-1].manifest != origin.manifest:
        return None
    return origin
