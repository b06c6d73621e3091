"""`casync job wait`: waits until a job has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from casync.errors import TimedOutError
from casync_cli.completion import complete_job
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.job_ids import find_job
from casync_cli.job_watch import JOB_SCHEMA, JobBars, JobLines, JobScreen, follow
from casync_cli.parsing.times import format_duration, parse_duration, parse_interval
from casync_cli.reports.job import ABORTED, FINISHED, QUEUED, job_fields, status_of
from casync_cli.reports.job_end import raise_for, report_end

if TYPE_CHECKING:
    from casync.jobs.job import JobRow
    from casync.store.jobs import JobStore

DETAILS = (
    "Exit status 0 when everything was downloaded, 3 when objects failed, 11 when the job was "
    "stopped or its process has ended, and 124 after TIME. --progress shows bars meanwhile."
)
EXAMPLES = (
    "casync job wait dnl-4k3v9x0ab",
    "casync job wait 4k3 --timeout 2h",
)

_GRACE: Final = 5.0
"""Seconds in which another process may take over a job whose process has ended."""


def run(
    ctx: typer.Context,
    ident: Annotated[
        str, typer.Argument(metavar="ID", help="The id of a job.", autocompletion=complete_job)
    ],
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="T", help="Wait no longer than this.")
    ] = None,
    refresh: Annotated[
        str | None,
        typer.Option("--refresh", metavar="T", help="Look at the job every T.  [default: 1s]"),
    ] = None,
) -> None:
    """Runs the command."""
    from casync.store.jobs import faults_of

    invocation = invocation_of(ctx)
    pause = 1.0 if refresh is None else parse_interval(refresh, "--refresh")
    limit = None if timeout is None else parse_duration(timeout)
    with invocation.open_store(read_only=True) as store:
        jobs = store.jobs
        ident = find_job(jobs, ident).id
        invocation.resume = f"The job goes on; `casync job wait {ident}` waits again."
        deadline = float("inf") if limit is None else time.monotonic() + limit
        row = follow(
            _screen(invocation, pause),
            lambda: find_job(jobs, ident),
            _Ending(jobs).is_over,
            pause,
            deadline,
        )
        ended = find_job(jobs, ident) if row is None else row
        status = status_of(ended, is_running=jobs.is_running(ident))
        output = invocation.output
        if output.json_mode:
            output.document(JOB_SCHEMA, job_fields(ended, status))
        output.flush()
        if row is not None:
            report_end(output, ended, faults_of(jobs, ident))
            raise_for(ended, status)
            return
    assert limit is not None
    raise TimedOutError(
        f"job {ident} has not ended after {format_duration(limit)}",
        next_step=f"It goes on; `casync job show {ident}` shows it.",
    )


class _Ending:
    """Whether a job is over: it has ended, or its process has, and no other takes over."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self._alone_since: float | None = None

    def is_over(self, row: JobRow) -> bool:
        if row.state in (FINISHED, ABORTED):
            return True
        now = time.monotonic()
        if row.state == QUEUED or self._jobs.is_running(row.id):
            self._alone_since = None
            return False
        self._alone_since = self._alone_since or now
        return now - self._alone_since >= _GRACE


def _screen(invocation: Invocation, pause: float) -> JobScreen | None:
    output = invocation.output
    if not invocation.common.progress or invocation.common.quiet:
        return None
    return JobBars(output) if output.talks_to_terminal else JobLines(output.say, pause)
