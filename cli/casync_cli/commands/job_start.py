"""`casync job start`: continues a job here."""

from __future__ import annotations

from typing import Annotated

import typer

from casync.errors import UsageError
from casync_cli.completion import complete_job
from casync_cli.invocation import invocation_of
from casync_cli.job_ids import find_job
from casync_cli.job_run import parse_progress_interval, run_here
from casync_cli.reports.job import FINISHED

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
    progress_interval: Annotated[
        str | None,
        typer.Option(
            "--progress-interval",
            metavar="T",
            help="Time between two lines or documents.  [default: 10s]",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Show no progress, only a summary at the end.")
    ] = False,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    interval = parse_progress_interval(progress_interval)
    with invocation.open_store() as store:
        row = find_job(store.jobs, ident)
        if row.state == FINISHED:
            raise UsageError(
                f"job {row.id} is finished",
                next_step="Run the same download again to fetch what has changed.",
            )
        with store.jobs.claim(row.id, restart=True) as claim:
            run_here(invocation, store, claim, None, interval=interval, only_summary=wait)
