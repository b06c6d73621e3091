"""Runs a job in this process: lists, fetches, removes, and leaves a row that tells how it went.

Whatever ends the run, what is finished is committed first, and half-fetched objects keep what they
have up to their last cut. A later run goes on from there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from math import inf
from typing import Final, Protocol

from casync.errors import (
    CasyncError,
    MalformedError,
    PartialError,
    StoppedError,
    UnreachableError,
)
from casync.jobs.backoff import Attempts
from casync.jobs.item import Item
from casync.jobs.job import JobRow, JobState, WaitingObject
from casync.jobs.request import is_listed
from casync.jobs.spec import JobSpec
from casync.limits import JOB_WINDOW
from casync.names.name import Name
from casync.ops.download.body import BodyBuffers
from casync.ops.download.conditions import fits_list
from casync.ops.download.crew import Crew
from casync.ops.download.fetch import Fetch
from casync.ops.download.fetcher import Fetcher
from casync.ops.download.hosts import FIRST_PATIENCE, HostWatch, is_silence
from casync.ops.download.items import AddressedItems, items_from
from casync.ops.download.ledger import Ledger
from casync.ops.download.listing import ItemListing, incomplete_list, source_items
from casync.ops.download.options import RunOptions
from casync.ops.download.progress import SILENT_JOB, JobProgress, Phase
from casync.ops.download.queue import Errands, FetchQueue, Task
from casync.ops.download.removal import names_gone, remove_names
from casync.ops.download.retries import Retries
from casync.ops.download.shared_bounds import SharedBounds
from casync.ops.download.small import SmallObjects
from casync.ops.download.throttle import Throttle, rate_of
from casync.ops.download.unchanged import Unchanged
from casync.ops.download.view import Viewer
from casync.ops.download.worker import Worker
from casync.ops.download.writing import SharedWriter
from casync.remote.sources.job_sources import JobSources
from casync.sizes import format_count
from casync.store.jobs import JobClaim, JobStore
from casync.store.writable import WritableStore

__all__ = ["JobbedStore", "run_job", "start_or_continue"]

_LOOK_SECONDS: Final = 1.0
"""Seconds between two looks for a request to stop."""

_LOOKED_UP: Final = 256
"""Names whose origins are looked up at once."""


class JobbedStore(WritableStore, Protocol):
    """A store that has jobs."""

    @property
    def jobs(self) -> JobStore:
        """Its jobs."""
        ...


def start_or_continue(store: JobbedStore, spec: JobSpec, now: float) -> JobClaim:
    """Claims the job of a specification: an unfinished one that is here already, or a new one.

    Args:
        store: The store.
        spec: What to do, with its secrets.
        now: Seconds since 1970.

    Raises:
        LockedError: Another process runs it.
        NoSpaceError, WriteError: The store cannot be written.
    """
    return store.jobs.claim(store.jobs.create(spec, int(now)).id, restart=True)


def run_job(
    store: JobbedStore,
    claim: JobClaim,
    sources: JobSources,
    options: RunOptions,
    progress: JobProgress = SILENT_JOB,
    *,
    given: Iterable[Item] | None = None,
) -> JobRow:
    """Runs a job until it has finished, or is asked to stop.

    Objects that fail do not end it; the counts of the row tell of them. Without a request to stop,
    whatever else ends it leaves a job that can be run again.

    Args:
        store: The store, which has the job.
        claim: The right to run it. The caller releases it.
        sources: Where its objects are. They are closed when the job is stopped.
        options: How to run it here.
        progress: Is told of it.
        given: The items of a job of a given list, which only its first run needs.

    Returns:
        The job afterwards: finished, or aborted because that was asked for.

    Raises:
        UsageError: Two objects have one name; the source cannot be listed.
        NotFoundError: The source is empty.
        RemoteError, DeniedError: The source cannot be listed.
        NoSpaceError: The disk is full; everything that is committed stays.
        LostRaceError: Another process has taken the job over.
        CasyncError: What the store raises.
    """
    return _Run(store, claim, sources, options, progress, given).run()


class _Run:
    """One run of a job."""

    def __init__(
        self,
        store: JobbedStore,
        claim: JobClaim,
        sources: JobSources,
        options: RunOptions,
        progress: JobProgress,
        given: Iterable[Item] | None,
    ) -> None:
        self._store = store
        self._claim = claim
        self._sources = sources
        self._options = options
        self._progress = progress
        self._given = given
        self._spec = spec = claim.spec
        self._stopped = threading.Event()
        self._requested = False
        self._looked = options.clock()
        rate = rate_of(spec.limit, spec.limit_bph)
        self._throttle = Throttle(
            rate, self._stopped, options.now, level=claim.row.tokens, clock=options.clock
        )
        self._ledger = Ledger(claim.row, options.now, lambda: self._throttle.level)
        self._listing = ItemListing(store.jobs, claim)
        self._viewer = Viewer(self._ledger, self._row, self._listing, options.clock)
        self._bounds = options.shared or SharedBounds(spec.max_conns)
        self._writer = SharedWriter(store, self._ledger.seal, level=options.level)
        self._crew = Crew(self._watch, self._stop)
        self._queue: FetchQueue[Fetch] | None = None
        self._small: SmallObjects | None = None
        self._notes: deque[str] = deque()
        self._hosts = HostWatch(options.clock, self._notes.append)
        self._retries = Retries(options, self._writer, self._ledger, self._hosts)

    def run(self) -> JobRow:
        """Runs everything."""
        with self._writer:
            try:
                self._phases()
            except BaseException as error:
                with suppress(CasyncError):
                    self._interrupt(error)
                if not (self._requested and isinstance(error, StoppedError)):
                    raise
            self._writer.finish()
        self._progress.show(self._viewer.view(self._options.clock()))
        return self._row()

    def _row(self) -> JobRow:
        with self._writer.look():
            return self._ledger.row

    def _phases(self) -> None:
        if self._row().total < 0:
            self._crew.run(self._list)
        self._fetch_all()
        failure = ""
        if self._spec.sync:
            failure = self._remove_all()
        with self._writer.turn(urgent=True):
            self._ledger.end(JobState.FINISHED, failure)

    def _interrupt(self, error: BaseException) -> None:
        """Writes what is finished, and why the job ends before all of it is."""
        self._writer.check()
        is_unlisted = self._viewer.phase is Phase.LISTING
        with self._writer.turn(urgent=True):
            if self._requested:
                self._ledger.end(JobState.ABORTED)
            elif isinstance(error, CasyncError) and not isinstance(error, StoppedError):
                state = JobState.ABORTED if is_unlisted else JobState.RUNNING  # interrupted
                self._ledger.end(state, error.message, error.code)
        self._writer.finish()

    def _watch(self) -> None:
        """Looks at the job several times a second."""
        self._writer.check()
        if self._small is not None:
            self._small.check()
        now = self._options.clock()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            if self._claim.stop_requested():
                self._requested = True
                raise StoppedError("stopped")
            if self._viewer.phase is Phase.LISTING:
                with self._writer.look():
                    self._ledger.note_listed(self._listing.count)
        while self._notes:
            self._progress.note(self._notes.popleft())
        self._progress.show(self._viewer.view(now))

    def _stop(self) -> None:
        self._stopped.set()
        if self._queue is not None:
            self._queue.stop()
        self._sources.close()

    # -- Listing ------------------------------------------------------------------------------

    def _list(self) -> None:
        """Lists everything, again from the start when that breaks off."""
        self._viewer.phase = Phase.LISTING
        if not is_listed(self._spec) and not self._spec.is_list:
            items = AddressedItems(self._spec)
            items.check()
            total = len(items)
        elif self._given is None and self._spec.served and (listed := self._row().listed):
            self._listing.adopt(listed)
            total = listed
        else:
            self._write_list()
            total = self._listing.count
        with self._writer.turn(urgent=True):
            self._ledger.list(total)

    def _write_list(self) -> None:
        attempts = Attempts()
        by_folder = is_heard = False
        began = self._options.clock()
        while True:
            try:
                return self._listing.write(self._items(by_folder=by_folder))
            except MalformedError:
                if by_folder or self._spec.is_list:
                    raise
                by_folder = True
            except UnreachableError as error:
                if self._stopped.is_set():
                    raise StoppedError("stopped") from error
                attempts = attempts.after(progress=False)
                delay = self._retries.delay(attempts, error)
                is_heard = is_heard or self._listing.count > 0 or not is_silence(error)
                left = inf if is_heard else began + FIRST_PATIENCE - self._options.clock()
                if delay is None or left <= 0:
                    raise
                delay = min(delay, left)
                self._note_wait(error, delay, attempts)
                if self._stopped.wait(delay):
                    raise StoppedError("stopped") from error
                self._ledger.waiting.clear()

    def _note_wait(self, error: UnreachableError, delay: float, attempts: Attempts) -> None:
        """Tells why a listing waits."""
        until = self._options.now() + delay
        waiting = WaitingObject("", error.message, until, attempts.without_progress)
        self._ledger.waiting[-1] = waiting
        reason = error.message.rstrip(".")
        self._notes.append(f"{reason}; it is listed again in {max(round(delay), 1)} s")

    def _items(self, *, by_folder: bool) -> Iterable[Item]:
        if is_listed(self._spec):
            root = self._sources.root()
            return source_items(self._spec, root, self._stopped, by_folder=by_folder)
        if self._given is None:
            raise incomplete_list()
        return self._given

    # -- Fetching -----------------------------------------------------------------------------

    def _fetch_all(self) -> None:
        self._viewer.phase = Phase.FETCHING
        row = self._row()
        queue = self._queue = FetchQueue(
            self._tasks(row),
            cursor=row.cursor,
            per_host=self._options.per_host,
            most_held=self._spec.max_conns,
            clock=self._options.clock,
        )

        def settled(count: int) -> None:
            queue.settle(count, self._ledger.cursor)

        self._small = SmallObjects(self._writer, self._ledger, self._spec.chunker, settled)
        with self._small, self._bounds.job(row.id):
            fetcher = self._fetcher(queue, self._small)
            unchanged = Unchanged(self._writer, self._ledger, self._throttle, self._hosts)
            worker = Worker(
                queue,
                fetcher,
                self._retries,
                self._ledger,
                self._stopped,
                self._bounds,
                unchanged,
            )
            self._crew.run(
                worker.run, self._spec.max_conns if row.counts.settled < row.total else 0
            )

    def _fetcher(self, errands: Errands, small: SmallObjects) -> Fetcher:
        claimed = self._claim.row
        return Fetcher(
            ident=claimed.id,
            spec=self._spec,
            jobs=self._store.jobs,
            left=claimed.cursor + JOB_WINDOW if claimed.epoch > 1 else 0,
            store=self._store,
            writer=self._writer,
            ledger=self._ledger,
            throttle=self._throttle,
            now=self._options.now,
            errands=errands,
            splits=self._bounds.splits,
            unranged=set(),
            hosts=self._hosts,
            small=small,
            buffers=BodyBuffers(self._spec.chunker),
        )

    def _tasks(self, row: JobRow) -> Iterator[Task[Fetch]]:
        """The objects that are not done, in order."""
        done = frozenset(row.beyond)
        items = enumerate(items_from(self._spec, self._store.jobs, row), row.cursor)
        left = ((index, item) for index, item in items if index not in done)
        while some := list(islice(left, _LOOKED_UP)):
            origins = self._store.jobs.origins_of([Name(item.name) for _, item in some])
            for (index, item), found in zip(some, origins, strict=True):
                origin = found
                if found is not None and self._spec.is_list and not fits_list(found, item):
                    origin = None  # the object is fetched, and compared with its list
                fetch = Fetch(index, item, origin)
                try:
                    fetch.located = self._sources.locate(item)
                except CasyncError as error:  # its first attempt fails with it
                    fetch.error = error
                yield Task(index, fetch.host, fetch)

    # -- Removing -----------------------------------------------------------------------------

    def _remove_all(self) -> str:
        """Removes what is gone at the source; returns why it was not done, or nothing."""
        self._viewer.phase = Phase.REMOVING
        if failed := self._row().counts.failed:
            failure = f"nothing was removed, because {format_count(failed, 'object')} failed"
            self._progress.note(failure)
            return failure
        try:
            self._crew.run(self._remove)
        except PartialError as error:
            self._progress.note(error.message)
            return error.message
        return ""

    def _remove(self) -> None:
        root = self._sources.root()
        jobs, ident = self._store.jobs, self._claim.row.id

        def gone() -> Iterator[Name]:
            return names_gone(jobs, self._spec, root, jobs.items(ident))

        for count in remove_names(self._store, gone, self._spec.max_delete, self._stopped):
            with self._writer.turn():
                self._ledger.remove(count)
