"""The jobs of one namespace, as clients make and see them. Runs in threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import dropwhile, islice

from blake3 import blake3
from msgspec.structs import replace

from casync.errors import CasyncError, LockedError, UsageError
from casync.jobs.address import parse_address, redacted
from casync.jobs.job import JobRow, JobState
from casync.jobs.object_list import read_object_list
from casync.jobs.request import given_items, specify
from casync.jobs.spec import JobSpec
from casync.ops.download.listing import ItemListing
from casync.store.base import Batch
from casync.store.job_rules import no_job
from casync.store.jobs import JobStore, JobUpdate
from casync.store.lmdb.store import LmdbStore
from casync.wire.job_request import JobRequest, encode_list, job_spec
from casync.wire.jobs import FaultPage, JobItem, JobPage, fault_item, job_item
from casync_server.http.page import page_of
from casync_server.jobs.source_policy import SourcePolicy

__all__ = ["JobService"]


@dataclass(frozen=True, slots=True)
class JobService:
    """The jobs of one namespace.

    Attributes:
        store: Returns its store; DamagedStoreError if it is damaged.
        namespace: Its name; empty for the default one.
        policy: Which sources are open.
        max_conns: Connections that one job may use.
        clock: Seconds since 1970.
    """

    store: Callable[[], LmdbStore]
    namespace: str
    policy: SourcePolicy
    max_conns: int
    clock: Callable[[], float] = time.time

    def jobs(self) -> JobStore:
        """The jobs of its store."""
        return self.store().jobs

    def create(self, request: JobRequest) -> JobItem:
        """Makes a job, or lets an unfinished one with the same digest go on.

        Raises:
            UsageError, UnsupportedError: It is not possible, or two objects would have one name.
            DeniedError: Its source is not open.
            NoSpaceError, WriteError: The store cannot be written.
        """
        text = encode_list(request.objects) if request.objects else b""
        spec = self._checked(job_spec(request), blake3(text).digest() if text else b"")
        row = self.jobs().create(spec, int(self.clock()))
        if text and row.total < 0:
            self._list(row, spec, text)
        is_new = row.state is JobState.QUEUED and not text
        return self._item(row) if is_new else self.start(row.id)

    def _list(self, row: JobRow, spec: JobSpec, text: bytes) -> None:
        """Writes the items of a given list. Until all are here, no runner takes the job."""
        store = self.store()
        with suppress(LockedError), store.jobs.claim(row.id, restart=True) as claim:
            listing = ItemListing(store.jobs, claim)
            try:
                listing.write(given_items(spec, read_object_list([text])))
            except CasyncError:
                claim.release()
                store.jobs.remove(row.id)
                raise
            count = listing.count
            store.commit(Batch(job=JobUpdate(replace(claim.row, total=count, listed=count))))

    def _checked(self, spec: JobSpec, list_digest: bytes) -> JobSpec:
        spec = specify(spec, list_digest)
        if not spec.description:
            source = "multi-download" if list_digest else redacted(spec.source)
            what = f"{source} -> {spec.dest or '/'}"
            spec = replace(spec, description=what)
        self.policy.check(self.namespace, parse_address(spec.source))
        return replace(spec, served=True, max_conns=min(spec.max_conns, self.max_conns))

    def page(self, after: str, limit: int) -> JobPage:
        """The jobs behind the one with the id `after`, the oldest first.

        Raises:
            NotFoundError: There is no job `after`.
        """
        rows = self.jobs().rows()
        if after:
            rows = islice(dropwhile(lambda row: row.id != after, rows), 0, None)
            if next(rows, None) is None:
                raise no_job(after)
        return JobPage(*page_of(map(self._item, rows), limit, _text_bytes))

    def find(self, ident: str) -> JobItem:
        """A job; NotFoundError if there is none."""
        return self._item(self._row(ident))

    def faults(self, ident: str, after: int, limit: int) -> FaultPage:
        """Objects of a job that failed, with indices above `after`; NotFoundError without one."""
        self._row(ident)
        found = self.jobs().faults(ident, after, limit + 1)
        return FaultPage(*page_of(map(fault_item, found), limit, lambda each: len(each.url)))

    def stop(self, ident: str) -> JobItem:
        """Asks the runner of a job to stop, or aborts it; NotFoundError if there is none."""
        return self._item(self.jobs().request_stop(ident))

    def start(self, ident: str) -> JobItem:
        """Lets an unfinished job without a runner go on.

        Raises:
            NotFoundError: There is no such job.
            UsageError: A local process made it.
        """
        row = self._row(ident)
        if not row.spec.served:
            raise UsageError(
                f"job {ident} was not made by a server",
                next_step=f"Run `casync job start {ident}` where its store is.",
            )
        if row.state in (JobState.RUNNING, JobState.ABORTED):
            # A claim withdraws a request to stop; what it leaves is interrupted, until a runner
            # takes it over.
            with suppress(LockedError), self.jobs().claim(ident, restart=True):
                pass
        return self.find(ident)

    def remove(self, ident: str) -> JobItem:
        """Removes a job, and nothing that it fetched.

        Raises:
            NotFoundError: There is no such job.
            UsageError: It is running.
        """
        item = self.find(ident)
        self.jobs().remove(ident)
        return item

    def _row(self, ident: str) -> JobRow:
        row = self.jobs().find(ident)
        if row is None:
            raise no_job(ident)
        return row

    def _item(self, row: JobRow) -> JobItem:
        is_running = row.state is JobState.RUNNING and self.jobs().is_running(row.id)
        return job_item(row, is_running=is_running)


def _text_bytes(item: JobItem) -> int:
    names = sum(len(task.name) for task in item.current_tasks)
    return len(item.description) + 2 * len(item.request.source) + names
