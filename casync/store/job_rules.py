"""The rules of jobs, for every store that keeps them: how a row may change."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec.structs import astuple, replace

from casync.errors import (
    DamagedStoreError,
    LostRaceError,
    NoSpaceError,
    NotFoundError,
    UsageError,
)
from casync.jobs.job import JobRow, JobState
from casync.jobs.spec import JobSpec
from casync.limits import JOB_BLOCK_ITEMS, KEPT_JOBS, MAX_JOBS
from casync.store.jobs import JobUpdate

__all__ = [
    "ENDED",
    "KEPT_SECONDS",
    "aborted",
    "by_age",
    "check_block",
    "check_fence",
    "check_listed",
    "check_update",
    "claimed",
    "continued",
    "expired",
    "is_job_id",
    "no_job",
    "refuse_another",
    "unfinished",
]

ENDED: Final = frozenset({JobState.FINISHED, JobState.ABORTED})
"""States without a runner. An aborted job may be claimed again."""

KEPT_SECONDS: Final = 90 * 86400
"""Seconds for which a finished job stays at least."""

_ID: Final = re.compile(r"dnl-[0-9a-z]{9}", re.ASCII)


def is_job_id(text: str) -> bool:
    """Whether a text is the id of a job."""
    return _ID.fullmatch(text) is not None


def by_age(rows: Iterable[JobRow]) -> list[JobRow]:
    """Jobs in order, the oldest first."""
    return sorted(rows, key=lambda row: (row.created, row.id))


def unfinished(rows: Iterable[JobRow], digest: bytes) -> JobRow | None:
    """The newest job with this digest that is not finished."""
    found = [row for row in rows if row.digest == digest and row.state is not JobState.FINISHED]
    return by_age(found)[-1] if found else None


def refuse_another(jobs: int) -> None:
    """Refuses one more job where there are too many.

    Raises:
        NoSpaceError: There are.
    """
    if jobs >= MAX_JOBS:
        raise NoSpaceError(
            f"the store has {jobs} jobs", next_step="Remove some (`casync job rm ID…`)."
        )


def continued(row: JobRow, spec: JobSpec, sealed: bytes) -> JobRow:
    """An unfinished job with another specification of the same digest, without secrets."""
    return replace(row, spec=spec, sealed=sealed)


def claimed(row: JobRow, now: int) -> JobRow:
    """The row after a claim.

    Raises:
        UsageError: The job is finished.
    """
    if row.state is JobState.FINISHED:
        raise UsageError(f"job {row.id} is finished")
    return replace(
        row,
        state=JobState.RUNNING,
        epoch=row.epoch + 1,
        started=row.started or now,
        ended=0,
        active=(),
        failure="",
        failure_code="",
    )


def aborted(row: JobRow, now: int) -> JobRow:
    """The row of an unfinished job without a runner after a request to stop."""
    return replace(row, state=JobState.ABORTED, epoch=row.epoch + 1, ended=now, active=())


def check_fence(ident: str, stored: JobRow | None, epoch: int) -> JobRow:
    """Checks that a runner may still change its job.

    Raises:
        LostRaceError: The job has been claimed again, stopped without it, or removed.
    """
    if stored is None or stored.epoch != epoch or stored.state is not JobState.RUNNING:
        raise LostRaceError(
            f"job {ident} no longer belongs to this process",
            next_step=f"`casync job show {ident}` shows what became of it.",
        )
    return stored


def check_update(stored: JobRow | None, update: JobUpdate) -> None:
    """Checks an update of a job: it may only go on.

    `JobRow` itself holds that each item that is done is counted once.

    Raises:
        LostRaceError: As `check_fence`.
        ValueError: The update undoes something, or ends the job too early.
    """
    row = update.row
    before = check_fence(row.id, stored, row.epoch)
    fixed = ("spec", "digest", "created", "sealed", "started")
    changed = [name for name in fixed if getattr(before, name) != getattr(row, name)]
    if before.total not in (-1, row.total):
        changed.append("total")
    if changed:
        raise ValueError(f"an update of job {row.id} changes its {', '.join(changed)}")
    undone = any(index >= row.cursor for index in {*before.beyond}.difference(row.beyond))
    counts = zip(astuple(before.counts), astuple(row.counts), strict=True)
    fewer = any(old > new for old, new in counts)
    if row.cursor < before.cursor or undone or fewer:
        raise ValueError(f"an update of job {row.id} undoes what is done")
    if row.state is JobState.QUEUED:
        raise ValueError(f"an update of job {row.id} queues it")
    if row.state is JobState.FINISHED and row.cursor != row.total:
        raise ValueError(f"job {row.id} ends at item {row.cursor} of {row.total}")


def check_block(row: JobRow, block: int, items: int, *, blocks: int, last: int) -> None:
    """Checks a block of items.

    Args:
        row: The job.
        block: Number of the block.
        items: How many it has.
        blocks: Number of blocks that are here.
        last: How many items the last one of them has.

    Raises:
        ValueError: It would leave a gap, or change what is fixed.
    """
    done = max((row.cursor - 1, *row.beyond))
    if row.total >= 0:
        raise ValueError(f"the list of job {row.id} is complete")
    if not 0 < items <= JOB_BLOCK_ITEMS:
        raise ValueError(f"a block of {items} items")
    if block > blocks or (block == blocks and block and last != JOB_BLOCK_ITEMS):
        raise ValueError(f"block {block} of job {row.id} leaves a gap")
    if block < blocks and done >= block * JOB_BLOCK_ITEMS:
        raise ValueError(f"block {block} of job {row.id} has items that are done")


def check_listed(row: JobRow, end: int) -> None:
    """Checks that a list that ends is complete, unless its job needs it no more.

    Args:
        row: The job.
        end: The index behind the last item that is here.

    Raises:
        DamagedStoreError: Items are missing.
    """
    if end < row.total and row.state is not JobState.FINISHED:
        raise DamagedStoreError(
            f"job {row.id} lacks items of its list", next_step="Remove the job, and start another."
        )


def expired(rows: Iterable[JobRow], now: int) -> list[JobRow]:
    """Finished jobs that a collection removes: old ones that are not among the newest."""
    finished = by_age(row for row in rows if row.state is JobState.FINISHED)
    old = finished[: max(len(finished) - KEPT_JOBS, 0)]
    return [row for row in old if now - row.ended >= KEPT_SECONDS]


def no_job(ident: str) -> NotFoundError:
    """The error for an id without a job."""
    return NotFoundError(f"there is no job {ident}", next_step="`casync job ls` lists the jobs.")
