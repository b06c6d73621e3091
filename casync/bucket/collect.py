"""What collections of a store in a bucket may free (docs/FORMAT.md section 11.7).

An object is deleted as in a store on disk (docs/adr/0008): with a commit, if it is unmarked and
older than all floors. So only who may still write matters here, and what lies in the bucket without
being part of the store.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec.structs import replace

from casync.bucket.head import BucketHead
from casync.bucket.keys import RUNS, SEGMENTS, SessionPart, part_of

__all__ = ["SESSION_SILENCE", "is_orphan", "lowest_floor", "without_silent"]

SESSION_SILENCE: Final = 86400
"""Seconds without a swap after which a collection ends a session. A writer whose session was ended
cannot commit: a wrong clock costs a command that is repeated."""


def without_silent(head: BucketHead, now: int, *, mine: bytes) -> BucketHead:
    """The head without sessions that were silent for long; the version stays.

    Args:
        head: The head.
        now: Seconds since 1970.
        mine: A session that stays: the collector's.
    """
    sessions = tuple(
        each
        for each in head.sessions
        if each.session == mine or abs(now - each.heard) <= SESSION_SILENCE
    )
    return replace(head, sessions=sessions)


def lowest_floor(head: BucketHead, today: int) -> int:
    """The lowest generation that a writer relies on; at most `today`."""
    return min([today, *(each.floor for each in head.sessions)])


def is_orphan(key: str, head: BucketHead, used: Collection[SessionPart]) -> bool:
    """Whether a segment or a run is not part of the store, and never will be.

    The key must have been listed before the head was read: so its writer had opened a session
    by then, which is still open or has ended. Names are never used twice.

    Args:
        key: A key of the bucket.
        head: The head.
        used: Segments that rows point to, or that wait for their deletion, at this head.
    """
    part = part_of(key)
    if part is None:
        return False
    session = head.session(part.session)
    if key.startswith(SEGMENTS):
        return session is None and part not in used
    assert key.startswith(RUNS)
    is_listed = any(run.part == part for run in head.runs)
    return not is_listed and (session is None or part.number < session.number)
