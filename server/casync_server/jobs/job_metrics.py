"""Metrics of jobs, counted by the process that runs them and shown by the workers."""

from __future__ import annotations

from collections import Counter as Tally
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from casync.jobs.job import Counts, JobRow, JobState
from casync.store.jobs import JobStore
from casync.wire.jobs import outcome_of

__all__ = ["JobMetrics", "RunMetrics"]

_PAGE: Final = 1000


class JobMetrics:
    """The metrics of all jobs of this process. Safe for threads."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.runners = Gauge(
            "casync_job_runners",
            "Processes that run jobs: 1, or 0 while it is being restarted.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.running = Gauge(
            "casync_jobs_running",
            "Jobs that are running.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.ended = Counter(
            "casync_jobs_ended",
            "Jobs that ended, by outcome: clean, partial, failed or aborted.",
            ["outcome"],
            registry=registry,
        )
        self.objects = Counter(
            "casync_job_objects",
            "Objects of jobs, by outcome: fetched, skipped or failed.",
            ["outcome"],
            registry=registry,
        )
        self.fetched = Counter(
            "casync_job_fetched_bytes", "Bytes that jobs fetched.", registry=registry
        )
        self.faults = Counter(
            "casync_job_faults",
            "Objects of jobs that failed, by kind.",
            ["kind"],
            registry=registry,
        )


class RunMetrics:
    """Counts what one run of a job does. Used by one thread.

    Args:
        metrics: The metrics of the process.
        jobs: The jobs of its store.
        row: The job when it was claimed.
    """

    def __init__(self, metrics: JobMetrics, jobs: JobStore, row: JobRow) -> None:
        self._metrics = metrics
        self._jobs = jobs
        self._ident = row.id
        self._counts = row.counts
        self._faults = self._tally(row.counts)

    def count(self, counts: Counts) -> None:
        """Counts what was done since the last call."""
        before, self._counts = self._counts, counts
        objects = self._metrics.objects
        objects.labels("fetched").inc(max(counts.finished - before.finished, 0))
        objects.labels("skipped").inc(max(counts.skipped - before.skipped, 0))
        objects.labels("failed").inc(max(counts.failed - before.failed, 0))
        self._metrics.fetched.inc(max(counts.fetched - before.fetched, 0))

    def end(self, row: JobRow) -> None:
        """Counts the rest, after the run has ended."""
        self.count(row.counts)
        for kind, count in (self._tally(row.counts) - self._faults).items():
            self._metrics.faults.labels(kind).inc(count)
        outcome = "aborted" if row.state is JobState.ABORTED else outcome_of(row)
        if outcome is not None:
            self._metrics.ended.labels(outcome).inc()

    def _tally(self, counts: Counts) -> Tally[str]:
        """The objects that failed so far, by kind."""
        found: Tally[str] = Tally()
        after = -1
        while counts.failed and (page := self._jobs.faults(self._ident, after, _PAGE)):
            found.update(fault.kind.value for fault in page)
            after = page[-1].index
        return found
