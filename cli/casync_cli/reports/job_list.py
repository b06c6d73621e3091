"""Lists jobs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from casync.errors import UsageError
from casync_cli.reports.job import (
    JOB_COLUMNS,
    QUEUED,
    RUNNING,
    job_cells,
    job_fields,
    status_of,
)

if TYPE_CHECKING:
    from casync.store.jobs import Jobs
    from casync_cli.output import Output

__all__ = ["list_jobs"]

_ACTIVE: Final = frozenset({QUEUED, RUNNING})


def list_jobs(output: Output, jobs: Jobs, regex: str | None, *, active: bool) -> None:
    """Lists jobs, oldest first.

    Args:
        output: Prints the list.
        jobs: The jobs.
        regex: List only jobs in whose description this Python expression is found.
        active: List only jobs that are running or waiting to run.

    Raises:
        UsageError: `regex` is invalid.
    """
    pattern = re.compile("") if regex is None else _compiled(regex)
    found = [
        (row, status)
        for row in jobs.rows()
        if pattern.search(row.spec.description)
        and (
            (status := status_of(row, is_running=jobs.is_running(row.id))) in _ACTIVE or not active
        )
    ]
    if output.json_mode:
        documents = [job_fields(row, status) for row, status in found]
        output.document("casync.job-ls/1", {"jobs": documents})
        return
    listing = output.listing(*JOB_COLUMNS)
    for row, status in found:
        listing.row(*job_cells(row, status))


def _compiled(regex: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"not a regular expression: {regex}: {error}",
            next_step="Write it as Python does, and quote it for the shell.",
        ) from error
