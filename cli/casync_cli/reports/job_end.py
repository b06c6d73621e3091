"""How a job ended: its last line, and the error that its exit status comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casync.errors import PartialError, StoppedError
from casync.sizes import format_count
from casync_cli.reports.job import ABORTED, FINISHED, INTERRUPTED, count_text, done_text

if TYPE_CHECKING:
    from casync.jobs.job import JobRow
    from casync_cli.output import Output

__all__ = ["raise_for", "report_end"]


def report_end(output: Output, row: JobRow) -> None:
    """Says how a job ended, if it did all that it could."""
    if row.state == FINISHED:
        output.say(done_text(row))


def raise_for(row: JobRow, status: str) -> None:
    """Raises unless the job has done everything.

    Args:
        row: The job.
        status: What it does, from `casync_cli.reports.job.status_of`.

    Raises:
        PartialError: Objects failed, or what is gone at the source was not removed.
        StoppedError: The job was stopped, or its process has ended.
    """
    if status in (ABORTED, INTERRUPTED):
        said = "was aborted" if status == ABORTED else "is interrupted: its process has ended"
        why = f": {row.failure}" if row.failure else ""
        raise StoppedError(
            f"download {said}{why}, {count_text(row)} downloaded",
            next_step=f"`casync job start {row.id}` continues it.",
        )
    if row.counts.failed:
        raise PartialError(
            f"{row.counts.failed} of {format_count(row.total, 'object')} failed",
            next_step=f"`casync job show {row.id} -v` lists them; run the same download again.",
        )
    if row.failure:
        raise PartialError(row.failure, next_step="Run the same download again.")
