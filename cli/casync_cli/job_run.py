"""Runs a job in this process: prints its id, shows it while it runs, and says how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final

from casync.errors import NoSpaceError, UsageError, WriteError
from casync_cli.invocation import Invocation
from casync_cli.job_waiting import wait_for_job
from casync_cli.job_watch import (
    JOB_SCHEMA,
    JobBars,
    JobDocuments,
    JobLines,
    JobScreen,
    SeldomScreen,
)
from casync_cli.parsing.times import parse_interval
from casync_cli.reports.job import RUNNING, here_text, job_fields, lacks_list, status_of
from casync_cli.reports.job_end import raise_for, report_end
from casync_cli.reports.job_pace import JobPace

if TYPE_CHECKING:
    from casync.jobs.item import Item
    from casync.jobs.job import JobRow
    from casync.ops.download.progress import JobView
    from casync.remote.server.jobs_client import JobsClient
    from casync.store.jobs import JobClaim
    from casync.store.lmdb.store import LmdbStore

__all__ = ["JobMeter", "parse_progress_interval", "run_here", "run_there"]

_BAR_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 1.0
_USUAL_INTERVAL: Final = 10.0
"""Seconds between two lines or documents."""


class JobMeter:
    """A `casync.ops.download.progress.JobProgress` that shows a job on a screen now and then.

    An error of the screen, such as a stdout that cannot be written, ends the showing and is raised
    at the end of the with block. The job goes on.

    Args:
        screen: Where it is shown; None shows nothing.
        say: Writes a line for the user.
        pause: Seconds between two times.
    """

    def __init__(
        self,
        screen: JobScreen | None,
        say: Callable[[str], None],
        pause: float,
    ) -> None:
        self._screen = screen
        self._say = say
        self._pause = pause
        self._pace = JobPace()
        self._next = time.monotonic() + (screen.first if screen is not None else 0.0)
        self._error: Exception | None = None

    def __enter__(self) -> JobMeter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes what is not to stay."""
        if self._screen is not None:
            self._screen.end()
        if error is None and self._error is not None:
            raise self._error

    def show(self, view: JobView) -> None:
        """As `JobProgress.show`."""
        now = time.monotonic()
        if self._screen is None or self._error is not None or now < self._next:
            return
        self._next = now + self._pause
        figures = self._pace.look(view.row, now)
        try:
            self._screen.show(figures._replace(speed=view.speed, listed=view.listed))
        except Exception as error:
            self._error = error

    def note(self, text: str) -> None:
        """As `JobProgress.note`."""
        self._say(text)


def parse_progress_interval(text: str | None) -> float:
    """The seconds of --progress-interval.

    Raises:
        UsageError: It is not a duration, or too short.
    """
    return _USUAL_INTERVAL if text is None else parse_interval(text, "--progress-interval")


def run_here(
    invocation: Invocation,
    store: LmdbStore,
    claim: JobClaim,
    items: Callable[[], Iterator[Item]] | None,
    *,
    interval: float,
    only_summary: bool,
) -> None:
    """Runs a job until it ends.

    Args:
        invocation: The context of the command.
        store: The store.
        claim: The claim of the job.
        items: The items of a given list, from the first on.
        interval: Seconds between two lines or documents.
        only_summary: Show no progress.

    Raises:
        PartialError: Objects failed.
        StoppedError: It was stopped by `job stop`.
        CasyncError: It ended early.
    """
    from casync.cutting.process_memory import keep_freed_memory
    from casync.downloads import run_claimed
    from casync.store.jobs import faults_of

    keep_freed_memory()
    output, row = invocation.output, claim.row
    again = invocation.job_command(f"start {row.id}")
    invocation.resume = f"The same command, or `{again}`, continues it."
    output.outlive_reader()
    # The job repeats requests itself, and shows what it does.
    access = replace(invocation.source_options(claim.spec.source), watch=None)
    screen = None if only_summary else _screen(invocation, interval)
    pause = _BAR_SECONDS if isinstance(screen, JobBars) else interval
    try:
        if not output.json_mode:
            output.row(row.id)
            output.flush()
        if row.counts.settled:
            output.say(f"continuing where it was: {here_text(row)}")
        elif not isinstance(screen, JobBars):
            monitor = invocation.job_command(f"show {row.id} --progress")
            output.say(f"Run `{monitor}` to monitor the progress of downloading.")
        with JobMeter(screen, output.say, pause) as meter:
            ended = run_claimed(store, claim, access, meter, items)
            if ended.state.is_final:
                invocation.resume = ""
    except (NoSpaceError, WriteError) as error:  # here, or on the way to stdout
        step = f"{error.next_step} {invocation.resume}".strip()
        raise type(error)(error.message, next_step=step) from error
    except UsageError as error:  # the list, perhaps: no other run can read it
        if lacks_list(row):
            removal = invocation.job_command(f"rm {row.id}")
            removal = f"Then run the download again; `{removal}` removes this job."
            error.next_step = f"{error.next_step} {removal}".strip()
        raise
    status = ended.state.value
    if output.json_mode:
        output.document(JOB_SCHEMA, job_fields(ended, status))
    output.flush()
    report_end(output, ended, faults_of(store.jobs, ended.id))
    raise_for(ended, status, invocation.job_command, faults_of(store.jobs, ended.id))


def run_there(
    invocation: Invocation,
    client: JobsClient,
    row: JobRow,
    *,
    interval: float,
    only_summary: bool,
) -> None:
    """Prints the id of a job that a server runs, and waits for it if that was asked for.

    Args:
        invocation: The context of the command.
        client: The jobs of the server.
        row: The job.
        interval: Seconds between two lines or documents.
        only_summary: Wait, and show no progress.

    Raises:
        CasyncError: As `wait_for_job`.
    """
    output = invocation.output
    monitor = invocation.job_command(f"show {row.id} --progress")
    invocation.resume = f"The job goes on; `{monitor}` shows it."
    output.outlive_reader()
    waits = only_summary or bool(invocation.common.progress)
    if not output.json_mode:
        output.row(row.id)
        output.flush()
    if waits:
        screen = None if only_summary else _screen(invocation, interval)
        if screen is not None and not isinstance(screen, JobBars):
            screen = SeldomScreen(screen, interval)
        wait_for_job(invocation, client, row.id, screen, _LOOK_SECONDS)
        return
    if output.json_mode:
        status = status_of(row, is_running=client.is_running(row.id))
        output.document(JOB_SCHEMA, job_fields(row, status))
    output.say(f"Run `{monitor}` to monitor the progress of downloading.")


def _screen(invocation: Invocation, interval: float) -> JobScreen | None:
    output, wanted = invocation.output, invocation.common.progress
    if wanted is False or (invocation.common.quiet and not wanted):
        return None
    if output.json_mode and wanted:
        return JobDocuments(output, lambda _: RUNNING)
    return JobBars(output) if output.talks_to_terminal else JobLines(output.say, interval)
