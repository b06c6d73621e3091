"""Walks every order of steps of processes that share the tables of one host of a bucket.

A commit is tried out on the tables, sent, and then done to them (`casync.store.bucket.trial`).
Meanwhile other processes commit, or bring the tables to a head in several transactions
(`casync.store.bucket.catch_up`), and another host commits. A process may be killed between any two
steps. The tables have a row for each commit, and the number of rows, which stands for all that is
counted, as the live bytes of segments are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.support.bucket_world import Found

__all__ = ["HOST_SAFEGUARDS", "explore_host"]

HOST_SAFEGUARDS: Final = (
    "a commit is tried out on tables that stand at its head",
    "the head that was tried is swapped",
    "a replay follows its trial",
    "each step looks where the tables stand",
)
"""What breaks tables when it is left out."""

_Commits = tuple[str, ...]


class HostTables(NamedTuple):
    """The tables: the commits at which they stand, their rows, their count, and transactions."""

    standing: _Commits = ()
    rows: frozenset[str] = frozenset()
    counted: int = 0
    transactions: int = 0

    def put(self, standing: _Commits, rows: frozenset[str], counted: int) -> HostTables:
        """The tables after a transaction."""
        return HostTables(standing, rows, counted, self.transactions + 1)


class HostProcess(NamedTuple):
    """A process: its step, the head that it saw, the tables that it began with, and its commits."""

    step: str = "idle"
    seen: _Commits = ()
    before: HostTables = HostTables()
    done: int = 0
    kills: int = 0


class HostWorld(NamedTuple):
    head: _Commits
    tables: HostTables
    processes: tuple[HostProcess, ...]
    elsewhere: int = 0


class _Walk:
    def __init__(self, without: str, commits: int, kills: int) -> None:
        assert not without or without in HOST_SAFEGUARDS
        self._without = without
        self._commits = commits
        self._kills = kills

    def steps(self, world: HostWorld) -> Iterator[HostWorld]:
        for index, process in enumerate(world.processes):
            for head, tables, after in self._process(world.head, world.tables, process, index):
                others = world.processes[:index], world.processes[index + 1 :]
                processes = (*others[0], after, *others[1])
                yield world._replace(head=head, tables=tables, processes=processes)
        if world.elsewhere < self._commits:
            commit = f"elsewhere {world.elsewhere}"
            yield world._replace(head=(*world.head, commit), elsewhere=world.elsewhere + 1)

    def _has(self, safeguard: str) -> bool:
        assert safeguard in HOST_SAFEGUARDS
        return safeguard != self._without

    def _process(
        self, head: _Commits, tables: HostTables, p: HostProcess, index: int
    ) -> Iterator[tuple[_Commits, HostTables, HostProcess]]:
        if p.step != "idle" and p.kills < self._kills:
            yield head, tables, HostProcess(done=p.done, kills=p.kills + 1)
        if p.step == "idle":
            yield head, tables, p._replace(step="look", before=tables)
            if p.done < self._commits:  # with the head that it saw last
                yield head, tables, p._replace(step="try")
        elif p.step == "look":  # after the tables, which other processes move on
            yield head, tables, p._replace(step="apply", seen=head)
        elif p.step in ("apply", "finish"):
            yield self._bring(head, tables, p)
        elif p.step == "try":
            stands = tables.standing == p.seen
            if stands or not self._has("a commit is tried out on tables that stand at its head"):
                yield head, tables, p._replace(step="swap", before=tables)
            else:
                yield head, tables, p._replace(step="idle")
        elif p.step == "swap":
            if head != p.seen and self._has("the head that was tried is swapped"):
                yield head, tables, p._replace(step="idle")
                return
            swapped = (*head, f"process {index}, commit {p.done}")
            yield swapped, tables, p._replace(step="replay", seen=swapped, done=p.done + 1)
        elif p.step == "replay":
            is_next = tables.transactions == p.before.transactions
            if not self._has("a replay follows its trial"):
                is_next = tables.standing == p.before.standing
            if is_next:
                rows = tables.rows | {p.seen[-1]}  # each by its key; what is counted is overwritten
                tables = tables.put(p.seen, rows, p.before.counted + 1)
            yield head, tables, p._replace(step="idle", before=HostTables())

    def _bring(
        self, head: _Commits, tables: HostTables, p: HostProcess
    ) -> tuple[_Commits, HostTables, HostProcess]:
        """A transaction that brings the tables on: all rows first, and then where they stand."""
        stands = tables.standing == p.before.standing
        if p.seen == p.before.standing or (
            not stands and self._has("each step looks where the tables stand")
        ):
            return head, tables, p._replace(step="idle", before=HostTables())
        if p.step == "finish":
            after = tables.put(p.seen, tables.rows, tables.counted)
            return head, after, p._replace(step="idle", before=HostTables())
        new = frozenset(p.seen[len(p.before.standing) :]) - tables.rows
        after = tables.put(tables.standing, tables.rows | new, tables.counted + len(new))
        return head, after, p._replace(step="finish")


def _wrong(world: HostWorld, before: _Commits) -> str:
    """What is wrong with the tables, which stood at `before` a step earlier."""
    tables = world.tables
    if tables.standing[: len(before)] != before:
        return f"the tables go back from {before} to {tables.standing}"
    if world.head[: len(tables.standing)] != tables.standing:
        return f"the tables stand at {tables.standing}, which the head {world.head} does not follow"
    if not tables.rows.issuperset(tables.standing):
        return f"of {tables.standing} the tables have {sorted(tables.rows)}"
    if not tables.rows.issubset(world.head):
        return f"the tables have {sorted(tables.rows)}, and the head {world.head}"
    if tables.counted != len(tables.rows):
        return f"{tables.counted} is counted of {sorted(tables.rows)}"
    return ""


def explore_host(
    without: str = "", *, processes: int = 2, commits: int = 1, kills: int = 1
) -> Found:
    """Walks all worlds, and stops where tables are wrong.

    Args:
        without: A safeguard that is left out, or empty.
        processes: How many share the tables.
        commits: How often each, and another host, commits.
        kills: How often each is killed.
    """
    walk = _Walk(without, commits, kills)
    first = HostWorld((), HostTables(), (HostProcess(),) * processes)
    seen, todo = {first}, deque([first])
    while todo:
        world = todo.popleft()
        for after in walk.steps(world):
            if after in seen:
                continue
            seen.add(after)
            if wrong := _wrong(after, world.tables.standing):
                return Found(len(seen), wrong)
            todo.append(after)
    return Found(len(seen), "")
