"""A head that does not continue what a host has seen is told from one that does, always."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Final, NamedTuple

import pytest

from casync.bucket.commit import NewRun, after_merge, after_swap, runs_to_read, with_session
from casync.bucket.head import BucketHead
from casync.bucket.keys import SessionPart
from casync.bucket.lineage import commit_change, continues
from casync.bucket.run import COMMITS, TableRun
from casync.bucket.run_merge import merge
from casync.errors import MalformedError

STORE, ME = b"s" * 16, b"m" * 16
_STEPS: Final = 6


class State(NamedTuple):
    """A head with its runs, and the commits that led to it, each with its version."""

    head: BucketHead
    runs: Mapping[SessionPart, TableRun]
    commits: tuple[tuple[SessionPart, int], ...]


def histories() -> Iterator[State]:
    """All that is reached by commits, swaps of sessions alone, and merges of runs."""
    numbers = count()
    todo = [(State(with_session(BucketHead.new(STORE), ME, 0), {}, ()), 0)]
    while todo:
        state, steps = todo.pop()
        yield state
        if steps == _STEPS:
            continue
        head, part = state.head, SessionPart(ME, next(numbers))
        new, number = NewRun(part, 1), part.number + 1
        run = TableRun(STORE, [], {}, [commit_change(head)])
        made = after_swap(head, ME, number=number, now=0, run=new)
        after = [State(made, {**state.runs, part: run}, (*state.commits, (part, made.version)))]
        after.append(state._replace(head=after_swap(head, ME, number=number, now=0)))
        for merged in {head.runs[:2], head.runs[-2:], head.runs} if len(head.runs) > 1 else ():
            found = after_merge(head, merged, ME, new, now=0)
            assert found is not None
            joined = merge([state.runs[each.part] for each in merged], is_first=not merged[0].first)
            after.append(state._replace(head=found, runs={**state.runs, part: joined}))
        todo += [(each, steps + 1) for each in after]


def test_a_head_continues_another_if_it_has_its_last_commit_and_shows_all_later_ones() -> None:
    states = list(histories())
    seen = {True: 0, False: 0}
    for head, runs, commits in states:
        for before, _, known in states:
            if head.version <= before.version:
                continue
            lacking = runs_to_read(head, before.version).runs
            changes = [change for each in lacking for change in runs[each.part].changes]
            later = commits[len(known) :]
            expected = commits[: len(known)] == known and all(
                any(run.first <= version <= run.last for run in lacking) for _, version in later
            )
            assert continues(head, before, changes) == expected
            seen[expected] += 1
    assert min(seen.values()) > 1000


def test_a_malformed_commit_is_refused() -> None:
    before = BucketHead.new(STORE)
    head = after_swap(
        with_session(before, ME, 0), ME, number=1, now=0, run=NewRun(SessionPart(ME, 0), 1)
    )
    with pytest.raises(MalformedError, match="malformed commit"):
        continues(head, before, [(COMMITS, b"1", b"")])
