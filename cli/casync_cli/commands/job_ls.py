"""`casync job ls`: lists jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from casync_cli.invocation import invocation_of
from casync_cli.reports.job_list import list_jobs

DETAILS = (
    "Oldest first. A job is pending while it runs, and interrupted when its process has ended "
    "before it was done; `casync job start ID` continues it. Finished jobs are kept for at least "
    "90 days."
)
EXAMPLES = (
    "casync job ls",
    "casync job ls --active",
    "casync job ls --regex '^imagenet'",
)


def run(
    ctx: typer.Context,
    active: Annotated[
        bool, typer.Option("--active", help="List only jobs that are running or waiting to run.")
    ] = False,
    regex: Annotated[
        str | None,
        typer.Option("--regex", metavar="RE", help="List only jobs whose description matches."),
    ] = None,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    with invocation.jobs(read_only=True) as jobs:
        list_jobs(invocation.output, jobs, regex, active=active)
