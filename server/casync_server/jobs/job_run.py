"""One run of a job in a thread of its own."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from typing import Final, NamedTuple

from casync.errors import (
    CasyncError,
    LockedError,
    NoSpaceError,
    NotFoundError,
    StoppedError,
)
from casync.escape import escape
from casync.ops.download.options import RunOptions
from casync.ops.download.progress import JobView, Phase
from casync.ops.download.run import run_job
from casync.ops.download.shared_bounds import SharedBounds
from casync.sizes import format_count, format_size
from casync.store.jobs import JobClaim
from casync.store.lmdb.store import LmdbStore
from casync_server.jobs.job_metrics import JobMetrics, RunMetrics
from casync_server.jobs.job_queue import ServedJob
from casync_server.jobs.source_rules import SourceRules

__all__ = ["JobRules", "JobRun", "check_room"]


_ROOM_SECONDS: Final = 5.0
"""Seconds between two looks at the room on the disk."""

_SPARE_PART: Final = 20
"""The spare space is at most one part in so many of the disk."""


class JobRules(NamedTuple):
    """What the jobs of clients may do.

    Attributes:
        sources: Which sources are open.
        spare: Bytes that they leave free on the disk; at most a twentieth of it.
        shared: Bounds them together.
    """

    sources: SourceRules
    spare: int
    shared: SharedBounds


class JobRun:
    """Runs a job from now on, until it has ended or `stop` is called.

    Args:
        key: The job.
        store: Its store, which stays open meanwhile.
        rules: What it may do.
        metrics: Counts what it does.
        note: Tells the operator how it went.
        say: Reports an error to the operator.

    Attributes:
        failed: Whether it ended by an error, so it is not to be repeated at once. Known at the end.
    """

    def __init__(
        self,
        key: ServedJob,
        store: LmdbStore,
        rules: JobRules,
        metrics: JobMetrics,
        note: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        self.failed = False
        self._key = key
        self._store = store
        self._rules = rules
        self._metrics = metrics
        self._note = note
        self._say = say
        self._stopping = threading.Event()
        self._label = f"job {key.id}{f' in {key.namespace}' if key.namespace else ''}"
        self._thread = threading.Thread(target=self._work, name=key.id)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Lets it end soon, so that a later run goes on where it was."""
        self._stopping.set()

    def join(self) -> None:
        """Waits for its end."""
        self._thread.join()

    def _work(self) -> None:
        try:
            with self._store.jobs.claim(self._key.id) as claim:
                self._run(claim)
        except (LockedError, StoppedError):  # another process has it, or the server stops
            return
        except CasyncError as error:
            if isinstance(error, NotFoundError) and self._is_removed():
                return
            self.failed = True
            self._say(f"{self._label}: {escape(error.message)}")
        except Exception as error:
            self.failed = True
            self._say(f"{self._label} failed unexpectedly: {type(error).__name__}: {error}")

    def _is_removed(self) -> bool:
        try:
            return self._store.jobs.find(self._key.id) is None
        except CasyncError:
            return False

    def _run(self, claim: JobClaim) -> None:
        self._note(f"{self._label} runs: {escape(claim.row.spec.source)}")
        began = time.monotonic()
        run = RunMetrics(self._metrics, self._store.jobs, claim.row)
        room = partial(check_room, self._store, self._rules.spare)
        room()
        progress = _Progress(run, self._stopping, room, self._label, self._note)
        options = RunOptions(now=time.time, random=random.random, shared=self._rules.shared)
        self._metrics.running.inc()
        try:
            with closing(self._rules.sources.open(self._key.namespace, claim.spec)) as sources:
                row = run_job(self._store, claim, sources, options, progress)
        finally:
            self._metrics.running.dec()
            with suppress(CasyncError):
                now = self._store.jobs.find(self._key.id)
                if now is not None:
                    run.end(now)
        self._note(
            f"{self._label} {row.state.value}: {format_count(row.counts.finished, 'object')} "
            f"fetched, {row.counts.skipped} unchanged, {row.counts.failed} failed, in "
            f"{time.monotonic() - began:.1f} s"
        )


def check_room(store: LmdbStore, spare: int) -> None:
    """Raises NoSpaceError if a job may store nothing more, as pushes may not."""
    disk = os.statvfs(store.path)
    free = disk.f_bavail * disk.f_frsize
    need = min(spare, disk.f_blocks * disk.f_frsize // _SPARE_PART)
    if free < need and free + store.usage(objects=False).free < need:
        raise NoSpaceError(
            f"less than {format_size(need)} are free on the disk of {store.path}",
            next_step="Free space: remove data and run `casync gc`, or enlarge the disk.",
        )


class _Progress:
    """Counts what a job does, and ends it when it shall stop or the disk is nearly full."""

    def __init__(
        self,
        run: RunMetrics,
        stopping: threading.Event,
        room: Callable[[], None],
        label: str,
        note: Callable[[str], None],
    ) -> None:
        self._run = run
        self._stopping = stopping
        self._room = room
        self._looked = time.monotonic()
        self._label = label
        self._note = note

    def show(self, view: JobView) -> None:
        """As `JobProgress.show`."""
        self._run.count(view.row.counts)
        if self._stopping.is_set():
            raise StoppedError("the server is stopping")
        now = time.monotonic()
        # An error would end a job that is still listing for good.
        if now - self._looked >= _ROOM_SECONDS and view.phase is not Phase.LISTING:
            self._looked = now
            self._room()

    def note(self, text: str) -> None:
        """As `JobProgress.note`."""
        self._note(f"{self._label}: {escape(text)}")
