"""How writers change the head of a store in a bucket (docs/FORMAT.md section 11.6).

A writer brings its tables to the head, changes them, writes what changed as a run, and replaces the
head by one with that run, if it is still the one that its tables stood at. So a commit sees the
commits before it, on any host. These functions say which head to swap in; what carries them
out is in `casync.store.bucket`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from msgspec.structs import replace

from casync.bucket.head import NO_FLOOR, BucketHead, OpenSession, RunEntry
from casync.bucket.keys import SessionPart
from casync.errors import LostRaceError
from casync.limits import MAX_BUCKET_SESSIONS, MERGED_RUN_BYTES, RUNS_OF_A_LEVEL

__all__ = [
    "NewRun",
    "RunsToRead",
    "after_merge",
    "after_swap",
    "has_swapped",
    "plan_merge",
    "runs_to_read",
    "session_ended",
    "with_session",
    "without_session",
]


class NewRun(NamedTuple):
    """A run that is written but not yet part of the store: what names it, and its bytes."""

    part: SessionPart
    size: int


class RunsToRead(NamedTuple):
    """What tables lack.

    Attributes:
        anew: Whether the tables must be emptied first: rows that are gone leave no trace in the
            first run.
        runs: The runs to apply, in order. After each of them the tables stand at its last version.
    """

    anew: bool
    runs: Sequence[RunEntry]


def runs_to_read(head: BucketHead, version: int) -> RunsToRead:
    """What tables that stand at a version lack.

    Args:
        head: The head.
        version: The version at which the tables stand; 0 for empty ones.
    """
    runs = [run for run in head.runs if run.last > version]
    anew = bool(version and runs and runs[0].first == 0)
    return RunsToRead(anew, runs)


def with_session(head: BucketHead, session: bytes, now: int, floor: int = NO_FLOOR) -> BucketHead:
    """The head after a session is opened, which relies on nothing yet.

    Args:
        head: The head.
        session: The session.
        now: Seconds since 1970.
        floor: The session's floor.
    """
    sessions = [each for each in head.sessions if each.session != session]  # of a late swap
    if len(sessions) >= MAX_BUCKET_SESSIONS:
        sessions.remove(min(sessions, key=lambda each: each.heard))
    sessions.append(OpenSession(session, floor, max(now, 0), 0))
    return _next(head, sessions)


def without_session(head: BucketHead, session: bytes) -> BucketHead | None:
    """The head after a session is closed; None if it is not open."""
    if head.session(session) is None:
        return None
    return _next(head, [each for each in head.sessions if each.session != session])


def after_swap(
    head: BucketHead,
    session: bytes,
    *,
    number: int,
    now: int,
    floor: int | None = None,
    generation: int | None = None,
    run: NewRun | None = None,
) -> BucketHead:
    """The head after a commit.

    Args:
        head: The head that the writer's tables stand at.
        session: The writer's session.
        number: Above all numbers that the session has used: in no other swap.
        now: Seconds since 1970.
        floor: The session's floor from now on; None leaves it.
        generation: The store's generation from now on; None leaves it.
        run: What the commit changed, if it changed tables.

    Raises:
        LostRaceError: The session has been ended, so that nothing protects what it wrote, or was
            promised.
    """
    mine = head.session(session)
    if mine is None:
        raise session_ended()
    mine = replace(
        mine,
        floor=mine.floor if floor is None else floor,
        heard=max(now, 0),
        number=number,
    )
    head = _next(head, [*(each for each in head.sessions if each.session != session), mine])
    if generation is not None:
        head = replace(head, generation=generation)
    if run is not None:
        first = head.version if head.runs else 0
        entry = RunEntry(*run.part, 0, run.size, first, head.version)
        head = replace(head, runs=(*head.runs, entry), commit=run.part)
    return head


def session_ended() -> LostRaceError:
    """The error of a writer whose session is no longer in the head, whatever ended it."""
    return LostRaceError(
        "the session of this writer has been ended: it was silent for too long, or another host "
        "has a copy of its cache",
        next_step="Run the command again; each host needs a cache of its own.",
    )


def has_swapped(head: BucketHead, session: bytes, number: int) -> bool:
    """Whether a swap of a session has happened whose answer was lost.

    Args:
        head: The head as it is now.
        session: The session.
        number: The number of the swap.
    """
    mine = head.session(session)
    return mine is not None and mine.number >= number


def plan_merge(head: BucketHead) -> Sequence[RunEntry]:
    """The runs to merge next, which follow each other; none if there are few."""
    for _, group in groupby(head.runs, key=lambda run: run.level):
        runs = list(group)
        if len(runs) < RUNS_OF_A_LEVEL:
            continue
        while len(runs) > 1:
            size, chosen = 0, list[RunEntry]()
            for run in runs:
                size += run.size
                if size > MERGED_RUN_BYTES:
                    break
                chosen.append(run)
            if len(chosen) > 1:
                return chosen
            runs = runs[1:]  # the first is large enough, or too large with the next one
    return ()


def after_merge(
    head: BucketHead, merged: Sequence[RunEntry], session: bytes, run: NewRun, *, now: int
) -> BucketHead | None:
    """The head after runs are replaced by one that changes the same.

    Returns:
        The head, or None if another writer has replaced one of them.
    """
    runs = list(head.runs)
    if not merged or merged[0] not in runs:
        return None
    at = runs.index(merged[0])
    if runs[at : at + len(merged)] != list(merged):
        return None
    level = max(each.level for each in merged) + 1
    first, last = merged[0].first, merged[-1].last
    runs[at : at + len(merged)] = [RunEntry(*run.part, level, run.size, first, last)]
    swapped = after_swap(head, session, number=run.part.number + 1, now=now)
    return replace(swapped, runs=tuple(runs))


def _next(head: BucketHead, sessions: Sequence[OpenSession]) -> BucketHead:
    ordered = tuple(sorted(sessions, key=lambda each: each.session))
    return replace(head, version=head.version + 1, sessions=ordered)
