"""Ids of jobs as people type them: shortened, and with or without `dnl-`."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from casync.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from casync.jobs.job import JobRow
    from casync.store.jobs import Jobs

__all__ = ["find_job", "find_jobs"]

_PREFIX: Final = "dnl-"
_MOST_NAMED: Final = 5
"""Jobs that a message names."""


def find_jobs(jobs: Jobs, texts: Sequence[str]) -> list[JobRow]:
    """The jobs that `texts` name, each once. Raises as `find_job`."""
    return list({row.id: row for row in (find_job(jobs, text) for text in texts)}.values())


def find_job(jobs: Jobs, text: str) -> JobRow:
    """The job with this id, or the only one whose id begins so.

    Raises:
        UsageError: Several begin so.
        NotFoundError: None does.
    """
    prefix = text if text.startswith(_PREFIX) else _PREFIX + text
    # An empty text, from an unset variable of a script, must not name the only job.
    found = jobs.matching(prefix) if prefix != _PREFIX else []
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(row.id for row in found[-_MOST_NAMED:])
        raise UsageError(
            f"the ids of {len(found)} jobs begin with {prefix}: {named}",
            next_step="Give more characters of the id.",
        )
    near = get_close_matches(prefix, [row.id for row in jobs.rows()], n=2)
    raise NotFoundError(
        f"there is no job {text}",
        next_step=f"Did you mean {' or '.join(near)}?"
        if near
        else "With the same options, `casync job ls` lists the jobs.",
    )
