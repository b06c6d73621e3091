"""Jobs as text and as JSON. The texts are those of AIStore's downloader where they are good.

`finished_cnt` and its like are AIStore's keys; they count skipped objects as finished.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from casync.sizes import format_count, format_size
from casync_cli.columns import Column
from casync_cli.parsing.times import format_duration, format_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from casync.jobs.fault import ObjectFault
    from casync.jobs.job import JobRow, WaitingObject
    from casync_cli.columns import Cell
    from casync_cli.output import Output

__all__ = [
    "ABORTED",
    "FEW_FAULTS",
    "FINISHED",
    "INTERRUPTED",
    "JOB_COLUMNS",
    "QUEUED",
    "RUNNING",
    "count_text",
    "done_text",
    "ended_text",
    "fault_fields",
    "fault_text",
    "here_text",
    "job_cells",
    "job_fields",
    "lacks_list",
    "next_text",
    "outcome_of",
    "print_job",
    "reached_text",
    "status_of",
    "waiting_text",
]

QUEUED: Final = "queued"
RUNNING: Final = "running"
FINISHED: Final = "finished"
ABORTED: Final = "aborted"
"""The values of `casync.jobs.job.JobState`, which is slow to load."""

_LIST: Final = "list"
"""The value of `casync.jobs.spec.SourceKind`."""

INTERRUPTED: Final = "interrupted"
"""The status of a running job whose runner is gone."""

JOB_COLUMNS: Final = (
    Column("job id", 13),
    Column("status", 14),
    Column("errors", 6, right=True),
    Column("description"),
)

FEW_FAULTS: Final = 10
"""So many objects that failed are not listed without -v."""

_FEW_WAITING: Final = 3
"""Objects that wait, of those that are listed without -v."""


def status_of(row: JobRow, *, is_running: bool) -> str:
    """What a job does: one of the states, or that it is interrupted.

    Args:
        row: The job.
        is_running: Whether its runner lives.
    """
    if row.state == RUNNING and not is_running:
        return INTERRUPTED
    return row.state.value


def outcome_of(row: JobRow) -> str | None:
    """How a finished job ended: `clean`, `partial`, or `failed` if it got nothing at all."""
    if row.state != FINISHED:
        return None
    if not row.counts.failed:
        return "clean"
    return "partial" if row.counts.finished or row.counts.skipped else "failed"


def _share_of(row: JobRow) -> float | None:
    """The share of the objects that are here; None if it is not known how many there are."""
    if row.total < 0:
        return None
    return (row.counts.finished + row.counts.skipped) / row.total if row.total else 1.0


def count_text(row: JobRow, listed: int | None = None) -> str:
    """`64/141 (45.39%)`, or `listing, 1000 objects so far` until it is known how many there are.

    Args:
        row: The job.
        listed: Objects that were listed so far, if that is known better than in the row.
    """
    share = _share_of(row)
    if share is None:
        return f"listing, {format_count(row.listed if listed is None else listed, 'object')} so far"
    return f"{row.counts.finished + row.counts.skipped}/{row.total} ({share:.2%})"


def here_text(row: JobRow) -> str:
    """As `count_text`, with the bytes that are here, of objects that are not done, too."""
    size = row.counts.bytes + sum(each.done for each in row.active)
    return f"{count_text(row)}, {format_size(size)}" if size else count_text(row)


def reached_text(row: JobRow) -> str:
    """`64/141 (45.39%), 1.23 GiB downloaded`, of a job that has ended early."""
    if row.total < 0:
        return "nothing downloaded, because its objects were not all listed"
    return f"{here_text(row)} downloaded"


def ended_text(row: JobRow, status: str) -> str:
    """`is interrupted: its process has ended`, or why an aborted or interrupted job has ended."""
    said = "was aborted" if status == ABORTED else "is interrupted"
    usual = "" if status == ABORTED else "its process has ended"
    return ": ".join(filter(None, (said, row.failure.rstrip(".") or usual)))


def lacks_list(row: JobRow) -> bool:
    """Whether a job was given a list of objects that was not read to its end."""
    return row.spec.kind == _LIST and row.total < 0 and not (row.spec.served and row.listed)


def next_text(row: JobRow, command: Callable[[str], str]) -> str:
    """What to do about a job that has ended early.

    Args:
        row: The job.
        command: A command about jobs as the user can repeat it, without `casync job`.
    """
    if lacks_list(row):
        return (
            "Run the download again with its list, corrected if need be; "
            f"`{command(f'rm {row.id}')}` removes this job"
        )
    return f"`{command(f'start {row.id}')}` continues it"


def waiting_text(each: WaitingObject, now: float) -> str:
    """`NAME waits 12 s: request failed with 503 status code (Service Unavailable)`."""
    left = round(each.until - now)
    does = f"waits {left} s" if left > 0 else "is tried again"
    return f"{each.name or 'the listing'} {does}: {each.reason}"


def done_text(row: JobRow) -> str:
    """`Done: 120 files downloaded, skipped: 3, errors: 21`."""
    of = row.counts
    text = f"Done: {format_count(of.finished, 'file')} downloaded, skipped: {of.skipped}"
    removed = f", removed: {of.removed}" if of.removed or row.spec.sync else ""
    return f"{text}{removed}, errors: {of.failed}"


def job_cells(row: JobRow, status: str) -> tuple[Cell, ...]:
    """The row of a job in a list: its cells for `JOB_COLUMNS`."""
    if status == RUNNING and row.total >= 0:
        shown = f"{row.total - row.counts.settled} pending"
    else:
        shown = status.capitalize()
    return row.id, shown, row.counts.failed, row.spec.description


def job_fields(row: JobRow, status: str) -> dict[str, object]:
    """A job as JSON."""
    spec, of = row.spec, row.counts
    return {
        "id": row.id,
        "description": spec.description,
        "source": spec.source,
        "destination": spec.dest,
        "status": status,
        "outcome": outcome_of(row),
        "failure": row.failure or None,
        "failure_code": row.failure_code or None,
        "created_time": _moment(row.created),
        "started_time": _moment(row.started),
        "finished_time": _moment(row.ended),
        "finished_cnt": of.finished + of.skipped,
        "skipped_cnt": of.skipped,
        "error_cnt": of.failed,
        "removed_cnt": of.removed,
        "scheduled_cnt": row.listed,
        "total": row.total,
        "all_dispatched": row.total >= 0,
        "aborted": row.state == ABORTED,
        "bytes": of.bytes,
        "fetched_bytes": of.fetched,
        "waiting": [
            {
                "name": each.name,
                "reason": each.reason,
                "next_time": _moment(int(each.until)),
                "attempts": each.attempts,
            }
            for each in row.waiting
        ],
        "waiting_cnt": row.waiting_count,
        "current_tasks": [
            {
                "name": each.name,
                "downloaded": each.done,
                "total": each.size,
                "start_time": _moment(int(each.started)),
            }
            for each in row.active
        ],
    }


def fault_text(fault: ObjectFault) -> str:
    """`NAME: request failed with 404 status code (Not Found)`."""
    tries = f" ({fault.attempts} attempts)" if fault.attempts > 1 else ""
    about = fault.name or ("" if fault.url in fault.message else fault.url)
    return f"{about}: {fault.message}{tries}".removeprefix(": ")


def fault_fields(fault: ObjectFault) -> dict[str, object]:
    """An object that failed, as JSON."""
    return {
        "name": fault.name,
        "url": fault.url,
        "kind": fault.kind.value,
        "status": fault.status or None,
        "attempts": fault.attempts,
        "first_time": _moment(fault.first),
        "last_time": _moment(fault.last),
        "error": fault.message,
    }


def print_job(
    output: Output,
    row: JobRow,
    status: str,
    faults: Iterable[ObjectFault],
    command: Callable[[str], str],
    *,
    verbose: bool,
) -> None:
    """Prints a job for people.

    Args:
        output: Prints it.
        row: The job.
        status: What it does, from `status_of`.
        faults: Its objects that failed. Only read if they are printed.
        command: A command about jobs as the user can repeat it, without `casync job`.
        verbose: Print what it was told to do, what it is fetching, and all that failed.
    """
    if verbose:
        output.table(list(_details(row, status)))
    output.row(_headline(row, status, command))
    if row.waiting and status == RUNNING:
        output.row(f"Waiting for another attempt: {row.waiting_count}")
        for waiting in row.waiting if verbose else row.waiting[:_FEW_WAITING]:
            output.row("", waiting_text(waiting, time.time()))
    if row.active and verbose and status == RUNNING:
        output.row("Progress of files that are currently being downloaded:")
        for each in row.active:
            size = "?" if each.size is None else format_size(each.size)
            share = f" ({each.done / each.size:.2%})" if each.size else ""
            output.row("", f"{each.name}: {format_size(each.done)}/{size}{share}")
    failed = row.counts.failed
    if failed and (verbose or failed < FEW_FAULTS):
        output.row("Errors:")
        for fault in faults:
            output.row("", fault_text(fault))
    elif failed:
        output.row(
            f"Errors ({failed}) occurred during the download. To see detailed info run "
            f"`{command(f'show {row.id} -v')}`"
        )


def _headline(row: JobRow, status: str, command: Callable[[str], str]) -> str:
    """The one line that says how far a job is."""
    if status == FINISHED:
        return done_text(row)
    if status == RUNNING:
        return f"Download progress: {here_text(row)}"
    if status == QUEUED and row.spec.served and not lacks_list(row):
        return "Download not started yet. The server starts it when it is its turn"
    if status == QUEUED and not lacks_list(row):
        return f"Download not started yet. `{command(f'start {row.id}')}` starts it"
    if status == QUEUED:
        return f"Download not started: {next_text(row, command)}"
    return f"Download {ended_text(row, status)}; {reached_text(row)}. {next_text(row, command)}"


def _details(row: JobRow, status: str) -> Iterator[tuple[str, str, str]]:
    spec = row.spec
    texts = {
        "job": row.id,
        "status": status,
        "description": spec.description,
        "source": spec.source,
        "destination": spec.dest,
        "part": f"{spec.part}/{spec.shares}" if spec.shares > 1 else "",
        "options": " ".join(_options(row)),
        "headers": " ".join(name for name, _ in spec.headers),
        "created": _moment(row.created),
        "started": _moment(row.started),
        "ended": _moment(row.ended),
    }
    for label, text in texts.items():
        if text:
            yield label, text, text
    for label, size in (("bytes", row.counts.bytes), ("fetched", row.counts.fetched)):
        yield label, str(size), format_size(size)


def _options(row: JobRow) -> Iterator[str]:
    """The options of a job that are not the usual ones, as they are typed."""
    spec = row.spec
    yield f"--max-conns {spec.max_conns}"
    yield f"--timeout {format_duration(spec.timeout).replace(' ', '')}"
    if spec.limit:
        yield f"--limit {spec.limit}"
    if spec.limit_bph:
        yield f"--limit-bph {spec.limit_bph}"
    if spec.flatten:
        yield "--flatten"
    if spec.sync:
        yield "--sync"
    if spec.max_delete is not None:
        yield f"--max-delete {spec.max_delete}"
    if spec.allow_empty:
        yield "--allow-empty"


def _moment(seconds: int) -> str | None:
    return format_moment(seconds) if seconds else None
