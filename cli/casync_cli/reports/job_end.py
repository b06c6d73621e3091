"""How a job ended: its last line, and the error that its exit status comes from."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from casync.errors import CasyncError, PartialError, StoppedError
from casync.sizes import format_count
from casync_cli.reports.job import (
    ABORTED,
    FEW_FAULTS,
    FINISHED,
    INTERRUPTED,
    done_text,
    ended_text,
    fault_text,
    lacks_list,
    next_text,
    reached_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from casync.jobs.fault import ObjectFault
    from casync.jobs.job import JobRow
    from casync_cli.output import Output

__all__ = ["raise_for", "report_end"]

_COMPARED: Final = 1000
"""Objects that are looked at to tell whether all failed in one way."""


def report_end(output: Output, row: JobRow, faults: Iterable[ObjectFault]) -> None:
    """Says how a job ended, if it did all that it could; and what failed, if that is not much.

    Args:
        output: Says it.
        row: The job.
        faults: Its objects that failed. Only read if they are printed.
    """
    if row.state != FINISHED:
        return
    output.say(done_text(row))
    if row.counts.failed < FEW_FAULTS:
        for fault in faults:
            output.say(f"  {fault_text(fault)}")


def _shared(faults: Iterable[ObjectFault]) -> tuple[str, str] | None:
    """Why all objects failed in one way that the user can mend, and how; None if they did not."""
    from casync.jobs.fault import status_text

    ways = {(fault.kind, fault.status) for fault in islice(faults, _COMPARED)}
    if len(ways) != 1:
        return None
    ((kind, status),) = ways
    if status in (401, 403):
        return status_text(status), "Check the credentials; a presigned URL may have expired."
    if status in (404, 410):
        return status_text(status), "Check the address."
    if kind in ("dns", "connect"):
        return "no server answers there", "Check the address, and that the server is running."
    return None


def raise_for(
    row: JobRow,
    status: str,
    command: Callable[[str], str],
    faults: Iterable[ObjectFault] = (),
) -> None:
    """Raises unless the job has done everything.

    Args:
        row: The job.
        status: What it does, from `casync_cli.reports.job.status_of`.
        command: A command about jobs as the user can repeat it, without `casync job`.
        faults: Its objects that failed. Only read if all did.

    Raises:
        PartialError: Objects failed, or what is gone at the source was not removed.
        StoppedError: The job was stopped, or its process has ended.
        CasyncError: The error that ended the job before it could begin, of the same class.
    """
    if status in (ABORTED, INTERRUPTED):
        again = f"{next_text(row, command)}."
        if row.failure and row.total < 0 and not lacks_list(row):  # it could not be listed
            again = f"Check the source; then `{command(f'start {row.id}')}` lists it again."
        ended = CasyncError.of_code(row.failure_code) or StoppedError
        said = f"{ended_text(row, status)}; {reached_text(row)}"
        raise ended(f"download {said}", next_step=again)
    if row.counts.failed:
        what = f"{row.counts.failed} of {format_count(row.total, 'object')} failed"
        step = f"`{command(f'show {row.id} -v')}` lists them; run the same download again."
        if row.counts.failed == row.total and (shared := _shared(faults)) is not None:
            why, step = shared
            what = f"{what}: {why}"
        raise PartialError(what, next_step=step)
    if row.failure:
        raise PartialError(row.failure, next_step="Look at the source, or raise --max-delete.")
