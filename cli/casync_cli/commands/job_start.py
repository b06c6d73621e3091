"""`casync job start`: continues a job, here or on its server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import UsageError
from casync_cli.completion import complete_job
from casync_cli.invocation import invocation_of
from casync_cli.job_ids import find_job
from casync_cli.job_run import parse_progress_interval, run_here, run_there
from casync_cli.options import OnlySummary, ProgressInterval
from casync_cli.reports.job import FINISHED

if TYPE_CHECKING:
    from casync.jobs.job import JobRow

DETAILS = (
    "Continues a job that was stopped, or whose process has ended, where it was, with all of its "
    "options. A finished job is not run again: `casync download` makes a new one, which skips what "
    "is unchanged."
)
EXAMPLES = ("casync job start dnl-4k3v9x0ab",)


def run(
    ctx: typer.Context,
    ident: Annotated[
        str, typer.Argument(metavar="ID", help="The id of a job.", autocompletion=complete_job)
    ],
    progress_interval: ProgressInterval = None,
    wait: OnlySummary = False,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    interval = parse_progress_interval(progress_interval)
    if invocation.remote.server and invocation.asks_server():
        with invocation.jobs_client() as client:
            row = find_job(client, ident)
            _refuse_finished(row)
            started = client.start(row.id)
            run_there(invocation, client, started, interval=interval, only_summary=wait)
        return
    with invocation.open_store() as store:
        row = find_job(store.jobs, ident)
        _refuse_finished(row)
        invocation.asks_server(row.spec.source, unused=("retry_for",))  # as of its download
        with store.jobs.claim(row.id, restart=True) as claim:
            run_here(invocation, store, claim, None, interval=interval, only_summary=wait)


def _refuse_finished(row: JobRow) -> None:
    if row.state == FINISHED:
        raise UsageError(
            f"job {row.id} is finished",
            next_step="Run the same download again to fetch what has changed.",
        )
