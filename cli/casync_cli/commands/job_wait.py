"""`casync job wait`: waits until a job has ended."""

from __future__ import annotations

from typing import Annotated

import typer

from casync_cli.completion import complete_job
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.job_ids import find_job
from casync_cli.job_waiting import wait_for_job
from casync_cli.job_watch import JobBars, JobLines, JobScreen
from casync_cli.parsing.times import parse_duration, parse_interval

DETAILS = (
    "Exit status 0 when everything was downloaded, 3 when objects failed, 11 when the job was "
    "stopped or its process has ended, and 124 after TIME. --progress shows bars meanwhile."
)
EXAMPLES = (
    "casync job wait dnl-4k3v9x0ab",
    "casync job wait 4k3 --timeout 2h",
)


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
    invocation = invocation_of(ctx)
    pause = 1.0 if refresh is None else parse_interval(refresh, "--refresh")
    limit = None if timeout is None else parse_duration(timeout)
    with invocation.jobs(read_only=True) as jobs:
        ident = find_job(jobs, ident).id
        wait_for_job(invocation, jobs, ident, _screen(invocation, pause), pause, limit)


def _screen(invocation: Invocation, pause: float) -> JobScreen | None:
    output = invocation.output
    if not invocation.common.progress or invocation.common.quiet:
        return None
    return JobBars(output) if output.talks_to_terminal else JobLines(output.say, pause)
