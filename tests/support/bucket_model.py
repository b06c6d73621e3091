"""Walks every order of steps of writers, a remover and a collector on one store in a bucket.

The heads are made by `casync.bucket.commit` and `collect`, the code that stores use; the steps
around them are those of `casync.store.bucket`, one atomic request each. Answers get lost. A process
that dies takes no more steps, which the walk sees between any two of them.
`python -m tests.support.bucket_model` walks large worlds.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Final

from msgspec.structs import replace

from casync.bucket.collect import is_orphan, lowest_floor
from casync.bucket.commit import (
    NewRun,
    after_merge,
    after_swap,
    has_swapped,
    with_session,
    without_session,
)
from casync.bucket.keys import SessionPart, run_key, segment_key
from casync.errors import LostRaceError
from tests.support.bucket_host_model import explore_host
from tests.support.bucket_world import (
    COLLECTOR,
    NEEDS,
    REMOVER,
    SILENT,
    Bucket,
    Collector,
    Found,
    Ops,
    Tables,
    World,
    Writer,
    damage,
    start,
    tables_at,
)

__all__ = ["SAFEGUARDS", "explore"]

SAFEGUARDS: Final = (
    "a promise lowers the floor",
    "what was promised is looked up again",
    "what was promised is renewed",
    "a session that was ended commits nothing",
    "writers swap the head that they have seen",
    "collectors swap the head that they have seen",
    "a collection begins a generation",
    "floors are read with each sweep",
    "orphans have no session",
    "ids of sessions are not used twice",
    "uploads of an ended session are not used",
    "keys are listed before the head is read",
    "a lost answer is looked up",
)
"""What loses when it is left out."""


class Walk:
    """The steps from one world to the next ones.

    Args:
        without: A safeguard that is left out, or empty.
        lives: How often a writer may begin.
        rounds: How often the collector does something.
        merges: Whether it merges runs as well.
    """

    def __init__(self, without: str, lives: int, rounds: int, *, merges: bool) -> None:
        assert not without or without in SAFEGUARDS
        self._without = without
        self._lives = lives
        self._rounds = rounds
        self._merges = merges

    def steps(self, world: World) -> Iterator[World]:
        for index, writer in enumerate(world.writers):
            for bucket, after in self._writer(world.bucket, writer, f"M{index + 1}", index):
                writers = (*world.writers[:index], after, *world.writers[index + 1 :])
                yield world._replace(bucket=bucket, writers=writers)
        for bucket, collector in self._collector(world.bucket, world.collector):
            yield world._replace(bucket=bucket, collector=collector)
        if not world.removed:
            yield self._remove(world)

    def _has(self, safeguard: str) -> bool:
        assert safeguard in SAFEGUARDS
        return safeguard != self._without

    # -- A writer -----------------------------------------------------------------------------

    def _writer(
        self, bucket: Bucket, w: Writer, manifest: str, index: int
    ) -> Iterator[tuple[Bucket, Writer]]:
        head = bucket.head
        if w.step == "done":
            return
        if w.step == "open":
            if w.life < self._lives:
                life = w.life if self._has("ids of sessions are not used twice") else 0
                session = bytes((index + 1, life)) * 8
                if head.session(session) is None:
                    head = with_session(head, session, SILENT)
                yield bucket._replace(head=head), Writer("look", w.life + 1, session, new=w.new)
            return
        tables = tables_at(bucket, head)
        if tables is None:
            return
        if w.step == "look":
            found = tables.find("X")
            if found is None:
                yield bucket, w._replace(step="upload", since=head.generation)
            elif self._has("a promise lowers the floor"):
                yield bucket, w._replace(step="promise")
            else:
                yield bucket, w._replace(step="upload", since=head.generation, relied="X")
        elif w.step == "promise":
            yield from self._promise(bucket, w)
        elif w.step == "again":
            relied = "X" if tables.find("X") else ""
            if not self._has("what was promised is looked up again"):
                relied = "X"
            yield bucket, w._replace(step="upload", relied=relied)
        elif w.step == "upload" and w.new.put:
            yield bucket, w._replace(step="read")
        elif w.step == "upload":
            part = SessionPart(w.session, w.number)
            new = [(c, part, 0) for c in NEEDS[manifest] if c not in w.relied]
            yield (
                bucket._replace(segments=bucket.segments | {part}),
                w._replace(step="read", number=w.number + 1, new=Ops(frozenset(new))),
            )
        elif w.step == "read":
            yield self._prepared(bucket, tables, w, manifest)
        elif w.step == "swap":
            yield from self._swap(bucket, w)
        elif w.step == "unsure":
            if has_swapped(head, w.session, w.number + 1):
                yield bucket, Writer("done")
            else:
                yield self._prepared(bucket, tables, w, manifest)
        elif w.step == "close":
            yield bucket._replace(head=without_session(head, w.session) or head), Writer("done")

    def _promise(self, bucket: Bucket, w: Writer) -> Iterator[tuple[Bucket, Writer]]:
        """Lowers the floor, in one swap, before what was found counts."""
        head = bucket.head
        try:
            lowered = after_swap(head, w.session, number=w.number, now=SILENT, floor=0)
        except LostRaceError:
            yield bucket, Writer("open", w.life)
            return
        yield (
            bucket._replace(head=lowered),
            w._replace(step="again", since=head.generation, relied="X"),
        )

    def _prepared(
        self, bucket: Bucket, tables: Tables, w: Writer, manifest: str
    ) -> tuple[Bucket, Writer]:
        """Reads the head, and writes a run. One of an earlier try means nothing any more."""
        head, part = bucket.head, SessionPart(w.session, w.number)
        today = head.generation
        own = {(chunk, at, today) for chunk, at, _ in w.new.put if chunk not in w.relied}
        if self._has("what was promised is renewed"):
            found = [tables.find(chunk) for chunk in w.relied]
            own |= {(row[0], row[1], today) for row in found if row is not None}
        new = Ops(frozenset(own), named=frozenset({manifest}))
        runs = frozenset(each for each in bucket.runs if each[0] != part) | {(part, new)}
        return bucket._replace(runs=runs), w._replace(step="swap", seen=head, new=new)

    def _swap(self, bucket: Bucket, w: Writer) -> Iterator[tuple[Bucket, Writer]]:
        head, seen = bucket.head, w.seen
        assert seen is not None
        if head != seen and self._has("writers swap the head that they have seen"):
            yield bucket, w._replace(step="read")
            return
        if seen.session(w.session) is None and not self._has(
            "a session that was ended commits nothing"
        ):
            seen = replace(with_session(seen, w.session, SILENT), version=seen.version)
        run = NewRun(SessionPart(w.session, w.number), 1)
        try:
            swapped = after_swap(
                seen, w.session, number=w.number + 1, now=SILENT, floor=w.since, run=run
            )
        except LostRaceError:
            kept = Ops() if self._has("uploads of an ended session are not used") else w.new
            yield bucket, Writer("open", w.life, new=kept)
            return
        after = bucket._replace(head=swapped)
        yield after, w._replace(step="close")
        step = "unsure" if self._has("a lost answer is looked up") else "done"
        lost = w._replace(step=step)
        yield after, lost
        if step == "done":  # it takes itself for refused, and cleans up
            part = SessionPart(w.session, w.number)
            runs = frozenset(each for each in bucket.runs if each[0] != part)
            yield after._replace(runs=runs), lost

    # -- The remover --------------------------------------------------------------------------

    def _remove(self, world: World) -> World:
        bucket = world.bucket
        part = SessionPart(REMOVER, 0)
        run = (part, Ops(removed=frozenset({"M0"})))
        head = bucket.head
        if head.session(REMOVER) is None:
            return world._replace(removed=True)
        head = after_swap(head, REMOVER, number=1, now=SILENT, run=NewRun(part, 1))
        return world._replace(
            bucket=bucket._replace(head=head, runs=bucket.runs | {run}), removed=True
        )

    # -- The collector ------------------------------------------------------------------------

    def _collector(self, bucket: Bucket, c: Collector) -> Iterator[tuple[Bucket, Collector]]:
        head = bucket.head
        tables = tables_at(bucket, head)
        if tables is None or c.rounds >= self._rounds:
            return
        if c.step == "idle":
            yield from self._begin(bucket, c)
            listed: frozenset[object] = frozenset(
                {*map(segment_key, bucket.segments), *(run_key(part) for part, _ in bucket.runs)}
            )
            early = not self._has("keys are listed before the head is read")
            seen = head if early else None
            if early:
                yield bucket, c._replace(step="list", seen=head)
            else:
                yield bucket, c._replace(step="judge", doomed=listed, seen=seen)
            yield from self._merge(bucket, c)
        elif c.step == "list":
            keys = {*map(segment_key, bucket.segments), *(run_key(p) for p, _ in bucket.runs)}
            yield bucket, c._replace(step="judge", doomed=frozenset(keys))
        elif c.step == "judge":
            yield bucket, self._judged(bucket, c)
        elif c.step == "drop":
            yield (
                bucket._replace(
                    segments=frozenset(
                        p for p in bucket.segments if segment_key(p) not in c.doomed
                    ),
                    runs=frozenset(r for r in bucket.runs if run_key(r[0]) not in c.doomed),
                ),
                Collector(rounds=c.rounds + 1, number=c.number),
            )
        elif c.step == "mark":
            marked = frozenset(chunk for m in tables.manifests for chunk in NEEDS[m])
            yield bucket, c._replace(step="sweep", marked=marked)
        elif c.step == "sweep":
            floor = lowest_floor(head, c.safe)
            if not self._has("floors are read with each sweep"):
                floor = c.safe
            dead = [r for r in tables.rows if r[0] not in c.marked and r[2] < floor]
            new = Ops(gone=frozenset(row[0] for row in dead))
            left = {row[1] for row in tables.rows if row not in dead}
            doomed: frozenset[object] = frozenset({row[1] for row in dead} - left)
            yield bucket, c._replace(step="swap", seen=head, new=new, doomed=doomed)
        elif c.step == "swap":
            yield from self._sweep(bucket, c)
        elif c.step == "delete":
            yield (
                bucket._replace(segments=bucket.segments - c.doomed),
                Collector(rounds=c.rounds + 1, number=c.number),
            )

    def _begin(self, bucket: Bucket, c: Collector) -> Iterator[tuple[Bucket, Collector]]:
        """Begins a generation, and ends a session that it takes for silent."""
        head = bucket.head
        today = head.generation + self._has("a collection begins a generation")
        swapped = after_swap(head, COLLECTOR, number=c.number, now=SILENT, generation=today)
        others = [each for each in swapped.sessions if each.session not in (COLLECTOR, REMOVER)]
        for ended in [None, *others]:
            kept = tuple(each for each in swapped.sessions if each != ended)
            begun = replace(swapped, sessions=kept)
            safe = lowest_floor(begun, today)
            if not self._has("a collection begins a generation"):
                safe = today + 1
            yield (
                bucket._replace(head=begun),
                c._replace(step="mark", today=today, safe=safe),
            )

    def _sweep(self, bucket: Bucket, c: Collector) -> Iterator[tuple[Bucket, Collector]]:
        if c.seen != bucket.head and self._has("collectors swap the head that they have seen"):
            yield bucket, c._replace(step="sweep")
            return
        part = SessionPart(COLLECTOR, c.number)
        head = after_swap(
            bucket.head, COLLECTOR, number=c.number + 1, now=SILENT, run=NewRun(part, 1)
        )
        yield (
            bucket._replace(head=head, runs=bucket.runs | {(part, c.new)}),
            c._replace(step="delete", number=c.number + 1, seen=None),
        )

    def _judged(self, bucket: Bucket, c: Collector) -> Collector:
        """Reads the head, and finds orphans among the keys that were listed."""
        head = c.seen or bucket.head
        tables = tables_at(bucket, head)
        if tables is None:
            return Collector(rounds=c.rounds + 1, number=c.number)
        if not self._has("orphans have no session"):
            head = replace(head, sessions=())
        used = {row[1] for row in tables.rows}
        gone = frozenset(key for key in c.doomed if is_orphan(str(key), head, used))
        return c._replace(step="drop", seen=None, doomed=gone)

    def _merge(self, bucket: Bucket, c: Collector) -> Iterator[tuple[Bucket, Collector]]:
        """Merges the first two runs."""
        head = bucket.head
        if not self._merges or len(head.runs) < 2:
            return
        merged = head.runs[:2]
        first, second = (bucket.run(each.part) for each in merged)
        assert first is not None
        assert second is not None
        changed = {row[0] for row in second.put} | second.gone
        put = frozenset(row for row in first.put if row[0] not in changed) | second.put
        named = (first.named | second.named) - second.removed
        part = SessionPart(COLLECTOR, c.number)
        swapped = after_merge(head, merged, COLLECTOR, NewRun(part, 2), now=SILENT)
        assert swapped is not None
        ops = Ops(put, frozenset(), named, frozenset())
        yield (
            bucket._replace(head=swapped, runs=bucket.runs | {(part, ops)}),
            Collector(rounds=c.rounds + 1, number=c.number + 1),
        )


def explore(
    without: str = "",
    *,
    writers: int = 2,
    lives: int = 2,
    rounds: int = 2,
    merges: bool = False,
    most: int = 10_000_000,
) -> Found:
    """Walks all worlds, and stops where something is lost.

    Args:
        without: As in `Walk`; so are `lives`, `rounds` and `merges`.
        writers: How many there are.
        lives: How often each may begin.
        rounds: How often the collector does something.
        merges: Whether it merges runs.
        most: States at which to stop.
    """
    walk = Walk(without, lives, rounds, merges=merges)
    first = start(writers)
    seen = {first}
    todo = deque([first])
    while todo and len(seen) < most:
        world = todo.popleft()
        for after in walk.steps(world):
            if after in seen:
                continue
            seen.add(after)
            if lost := damage(after.bucket):
                return Found(len(seen), lost)
            todo.append(after)
    return Found(len(seen), "")


_WORLDS: Final = (
    partial(explore, writers=1, lives=2, rounds=2, merges=True),
    partial(explore, writers=1, lives=2, rounds=3),
    partial(explore, writers=2, lives=1, rounds=1, merges=True),
    partial(explore_host, kills=2),
)


def main() -> int:
    """Walks the large worlds, and says how large they are."""
    status = 0
    for world in _WORLDS:
        begun = time.monotonic()
        states, lost = world()
        took = f"{time.monotonic() - begun:.0f} s"
        print(f"{world.keywords}: {states} states, {lost or 'nothing'} lost, {took}", flush=True)
        status = status or bool(lost)
    return status


if __name__ == "__main__":
    sys.exit(main())
