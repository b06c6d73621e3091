"""The jobs of one namespace, as clients make and see them. Runs in threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import dropwhile, islice

from blake3 import blake3
from msgspec.structs import replace

from casync.errors import CasyncError, LockedError, NotFoundError, UsageError
from casync.jobs.address import parse_address, redacted
from casync.jobs.item import Item
from casync.jobs.job import JobRow, JobState
from casync.jobs.object_list import read_object_list
from casync.jobs.request import given_items, specify
from casync.jobs.spec import JobSpec
from casync.limits import JOB_BLOCK_ITEMS
from casync.ops.download.forecast import forecast_job
from casync.ops.download.listing import MAX_ITEMS, ItemListing, incomplete_list
from casync.store.base import Batch
from casync.store.job_rules import no_job
from casync.store.jobs import JobStore, JobUpdate
from casync.store.lmdb.store import LmdbStore
from casync.wire.job_plan import JobPlan
from casync.wire.job_request import JobObjects, JobRequest, encode_list, job_spec
from casync.wire.jobs import FaultPage, JobItem, JobPage, fault_item, job_item
from casync_server.http.page import page_of
from casync_server.jobs.job_plan import PLAN_SECONDS, first_planned
from casync_server.jobs.job_run import check_room
from casync_server.jobs.source_rules import SourceRules

__all__ = ["JobService"]


@dataclass(frozen=True, slots=True)
class JobService:
    """The jobs of one namespace.

    Attributes:
        store: Returns its store; DamagedStoreError if it is damaged.
        namespace: Its name; empty for the default one.
        sources: Which sources are open.
        max_conns: Connections that one job may use.
        spare: Bytes that lists leave free on the disk.
        clock: Seconds since 1970.
    """

    store: Callable[[], LmdbStore]
    namespace: str
    sources: SourceRules
    max_conns: int
    spare: int
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
        if text and request.list_hash:
            raise UsageError("a list is either in the request, or follows in parts")
        digest = blake3(text).digest() if text else bytes.fromhex(request.list_hash or "")
        spec = self._checked(job_spec(request), digest)
        row = self.jobs().create(spec, int(self.clock()))
        if text and row.total < 0:
            self._list(row, spec, text)
        if _lacks_list(row) and not text:
            return self._item(row)
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

    def plan(self, request: JobRequest) -> JobPlan:
        """What a job would do with its first objects. Changes nothing, and fetches none.

        Raises:
            UsageError, UnsupportedError, DeniedError: As `create`.
            CasyncError: The source cannot be listed.
        """
        if request.list_hash:
            raise UsageError("a plan is made of a list in the request, not of one that follows")
        text = encode_list(request.objects) if request.objects else b""
        spec = self._checked(job_spec(request), blake3(text).digest() if text else b"")
        spec = replace(spec, timeout=min(spec.timeout, PLAN_SECONDS))

        def given() -> Iterator[Item]:
            return given_items(spec, read_object_list([text]))

        with closing(self.sources.open(self.namespace, spec)) as sources:
            return first_planned(forecast_job(spec, self.jobs(), sources, given), sources.close)

    def add_objects(self, ident: str, part: JobObjects) -> JobItem:
        """Adds a part of the list of a job, in place of the same part and all behind it.

        Raises:
            NotFoundError: There is no such job, or the whole list is empty.
            UsageError: It takes no list, or the part does not fit.
            LockedError: Another request adds a part.
            NoSpaceError, WriteError: The store cannot be written.
        """
        row, end = self._row(ident), part.first + len(part.objects)
        if part.last and end and row.listed == end:
            return self._item(row)  # the answer was lost
        if not (row.spec.served and _lacks_list(row)):
            raise UsageError(f"job {ident} takes no list of objects")
        if part.first % JOB_BLOCK_ITEMS or (not part.last and end % JOB_BLOCK_ITEMS):
            raise UsageError(f"parts of a list begin at multiples of {JOB_BLOCK_ITEMS} objects")
        if end > MAX_ITEMS:
            raise UsageError(f"a job has at most {MAX_ITEMS} objects")
        store = self.store()
        check_room(store, self.spare)
        entries = read_object_list([encode_list(part.objects)]) if part.objects else iter(())
        with store.jobs.claim(ident, restart=True) as claim:
            spec = replace(claim.spec, allow_empty=claim.spec.allow_empty or not part.last)
            items = given_items(spec, entries, is_share=True)
            block = part.first // JOB_BLOCK_ITEMS
            try:
                while some := list(islice(items, JOB_BLOCK_ITEMS)):
                    store.jobs.add_items(claim, block, some)
                    block += 1
            except (UsageError, NotFoundError):  # no such job ever runs
                claim.release()
                store.jobs.remove(ident)
                raise
            if part.last:
                total = -1 if end else 0
                store.commit(Batch(job=JobUpdate(replace(claim.row, listed=end, total=total))))
        return self.find(ident)

    def _checked(self, spec: JobSpec, list_digest: bytes) -> JobSpec:
        spec = specify(spec, list_digest)
        if not spec.description:
            source = "multi-download" if list_digest else redacted(spec.source)
            what = f"{source} -> {spec.dest or '/'}"
            spec = replace(spec, description=what)
        self.sources.policy.check(self.namespace, parse_address(spec.source))
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
            UsageError: A local process made it, or its list is not whole.
        """
        row = self._row(ident)
        if row.spec.served and _lacks_list(row):
            raise incomplete_list()
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


def _lacks_list(row: JobRow) -> bool:
    """Whether the list of a job is not here, or only a part of it."""
    return row.spec.is_list and row.total < 0 and not row.listed


def _text_bytes(item: JobItem) -> int:
    names = sum(len(task.name) for task in item.current_tasks)
    return len(item.description) + 2 * len(item.request.source) + names
