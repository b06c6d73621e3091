"""`casync job stop`: stops jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from casync_cli.completion import complete_job
from casync_cli.invocation import invocation_of
from casync_cli.job_ids import find_jobs
from casync_cli.reports.job import FINISHED, RUNNING, status_of

DETAILS = (
    "The process that runs a job ends it within seconds. What was downloaded stays, and "
    "`casync job start ID` continues the job. A job that has ended stays as it is. Prints each id "
    "with what became of it: stopping, aborted or finished."
)
EXAMPLES = ("casync job stop dnl-4k3v9x0ab",)


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
    stopped = []
    with invocation.jobs() as jobs:
        for row in find_jobs(jobs, ids):
            if row.state == FINISHED:
                output.say(f"{row.id} is already finished")
            after = jobs.request_stop(row.id)
            status = status_of(after, is_running=jobs.is_running(row.id))
            stopped.append((row.id, "stopping" if status == RUNNING else status))
    if output.json_mode:
        documents = [{"id": ident, "status": status} for ident, status in stopped]
        output.document("casync.job-stop/1", {"jobs": documents})
        return
    for ident, status in stopped:
        output.row(ident, status)
