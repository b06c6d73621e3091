"""`casync job show`: shows a job, once or while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import UsageError
from casync_cli.completion import complete_job
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.job_ids import find_job
from casync_cli.job_waiting import JobWaiting
from casync_cli.job_watch import JOB_SCHEMA, JobBars, JobDocuments, JobLines, JobScreen, follow
from casync_cli.parsing.times import parse_interval
from casync_cli.reports.job import fault_fields, job_fields, print_job, status_of
from casync_cli.reports.job_list import list_jobs

if TYPE_CHECKING:
    from casync.jobs.job import JobRow
    from casync.store.jobs import Jobs

DETAILS = (
    "Without ID, lists the jobs. ID may be shortened. --progress follows the job while it runs: "
    "bars on a terminal, otherwise a line, or with --json a document, every T. -v also shows what "
    "the job was told to do, what it is fetching, and all objects that failed."
)
EXAMPLES = (
    "casync job show",
    "casync job show dnl-4k3v9x0ab -v",
    "casync job show 4k3 --progress --refresh 500ms",
)


def run(
    ctx: typer.Context,
    ident: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="The id of a job.", autocompletion=complete_job),
    ] = None,
    regex: Annotated[
        str | None,
        typer.Option("--regex", metavar="RE", help="List only jobs whose description matches."),
    ] = None,
    refresh: Annotated[
        str | None,
        typer.Option("--refresh", metavar="T", help="Follow the job, every T.  [default: 1s]"),
    ] = None,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    pause = 1.0 if refresh is None else parse_interval(refresh, "--refresh")
    if ident is not None and regex is not None:
        raise UsageError("--regex selects among all jobs", next_step="Drop it or the id.")
    follows = refresh is not None or invocation.common.progress is True
    if ident is None and follows:
        raise UsageError("--progress follows one job", next_step="Name it by its id.")
    with invocation.jobs(read_only=True) as jobs:
        if ident is None:
            list_jobs(invocation.output, jobs, regex, active=False)
            return
        row = find_job(jobs, ident)
        if follows:
            row = _follow(invocation, jobs, row.id, pause)
        _print(invocation, jobs, row)


def _follow(invocation: Invocation, jobs: Jobs, ident: str, pause: float) -> JobRow:
    """Shows a job until it ends, or until its process is gone."""
    output = invocation.output
    again = invocation.job_command(f"show {ident} --progress")
    invocation.resume = f"The job goes on; `{again}` shows it again."
    screen: JobScreen
    if output.json_mode:
        screen = JobDocuments(output, lambda row: row.state.value)
    elif output.talks_to_terminal:
        screen = JobBars(output)
    else:
        screen = JobLines(output.row, pause, output.flush)
    # A server takes jobs that wait or are interrupted over by itself.
    waits = JobWaiting(jobs, is_served=invocation.asks_server(), grace=0.0)
    row = follow(screen, lambda: find_job(jobs, ident), waits.is_over, pause)
    assert row is not None  # there is no deadline
    return row


def _print(invocation: Invocation, jobs: Jobs, row: JobRow) -> None:
    from casync.store.jobs import faults_of

    output, verbose = invocation.output, invocation.common.verbose
    status = status_of(row, is_running=jobs.is_running(row.id))
    if output.json_mode:
        fields = job_fields(row, status)
        if verbose:
            fields["download_errors"] = [fault_fields(each) for each in faults_of(jobs, row.id)]
        output.document(JOB_SCHEMA, fields)
        return
    faults = faults_of(jobs, row.id)
    print_job(output, row, status, faults, invocation.job_command, verbose=verbose)
