"""`casync job rm`: removes jobs from the list."""

from __future__ import annotations

from typing import Annotated

import typer

from casync_cli.completion import complete_job
from casync_cli.invocation import invocation_of
from casync_cli.job_ids import find_jobs

DETAILS = (
    "Removes what is known of jobs: counts, errors and half-fetched objects. Everything that was "
    "downloaded stays, with its names. A running job is refused: stop it first. Prints the ids."
)
EXAMPLES = ("casync job rm dnl-4k3v9x0ab",)


def run(
    ctx: typer.Context,
    ids: Annotated[
        list[str],
        typer.Argument(metavar="ID", help="The id of a job.", autocompletion=complete_job),
    ],
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    output = invocation.output
    with invocation.jobs() as jobs:
        removed = [row.id for row in find_jobs(jobs, ids)]
        for ident in removed:
            jobs.remove(ident)
    if output.json_mode:
        output.document("casync.job-rm/1", {"ids": removed})
        return
    for ident in removed:
        output.row(ident)
