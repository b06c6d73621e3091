"""Waits for a job that another process or a server runs, and says how it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from casync.errors import TimedOutError
from casync_cli.invocation import Invocation
from casync_cli.job_ids import find_job
from casync_cli.job_watch import JOB_SCHEMA, JobScreen, follow
from casync_cli.parsing.times import format_duration
from casync_cli.reports.job import ABORTED, FINISHED, QUEUED, job_fields, status_of
from casync_cli.reports.job_end import raise_for, report_end

if TYPE_CHECKING:
    from casync.jobs.job import JobRow
    from casync.store.jobs import Jobs

__all__ = ["JobWaiting", "wait_for_job"]

_GRACE: Final = 5.0
"""Seconds in which another process may take over a job whose process has ended."""


class JobWaiting:
    """Whether there is more to wait for of a job.

    Args:
        jobs: The jobs.
        is_served: A server has them: it takes over what is interrupted by itself.
        grace: Seconds in which another process may take over a job whose process has ended.
    """

    def __init__(self, jobs: Jobs, *, is_served: bool, grace: float = _GRACE) -> None:
        self._jobs = jobs
        self._is_served = is_served
        self._grace = grace
        self._alone_since: float | None = None

    def is_over(self, row: JobRow) -> bool:
        """Whether the job has ended, or its process has and no other takes over."""
        if row.state in (FINISHED, ABORTED):
            return True
        waits = row.state == QUEUED and self._grace > 0
        if self._is_served or waits or self._jobs.is_running(row.id):
            self._alone_since = None
            return False
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        return now - self._alone_since >= self._grace


def wait_for_job(
    invocation: Invocation,
    jobs: Jobs,
    ident: str,
    screen: JobScreen | None,
    pause: float,
    limit: float | None = None,
) -> None:
    """Waits until a job has ended.

    Args:
        invocation: The context of the command.
        jobs: The jobs.
        ident: Its id.
        screen: Where it is shown meanwhile; None shows nothing.
        pause: Seconds between two looks.
        limit: Seconds to wait at most.

    Raises:
        PartialError: Objects failed.
        StoppedError: It was stopped, or its process has ended.
        TimedOutError: It has not ended in time.
    """
    from casync.store.jobs import faults_of

    output = invocation.output
    output.outlive_reader()
    again = invocation.job_command(f"wait {ident}")
    invocation.resume = f"The job goes on; `{again}` waits again."
    waiting = JobWaiting(jobs, is_served=invocation.asks_server())
    deadline = float("inf") if limit is None else time.monotonic() + limit
    row = follow(screen, lambda: find_job(jobs, ident), waiting.is_over, pause, deadline)
    ended = find_job(jobs, ident) if row is None else row
    status = status_of(ended, is_running=jobs.is_running(ident))
    if output.json_mode:
        output.document(JOB_SCHEMA, job_fields(ended, status))
    output.flush()
    if row is None:
        assert limit is not None
        raise TimedOutError(
            f"job {ident} has not ended after {format_duration(limit)}",
            next_step=f"It goes on; `{invocation.job_command(f'show {ident}')}` shows it.",
        )
    report_end(output, ended, faults_of(jobs, ident))
    raise_for(ended, status, invocation.job_command, faults_of(jobs, ident))
