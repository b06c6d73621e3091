"""Plans against a model: what random old and new contents share is found, and nothing is invented.

The contents are lists of records without bytes; nodes of level 1 and 2 are made of them.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casync.errors import NoObjectError
from casync.ids import NodeId, chunk_id, zero_chunk_id
from casync.objects.chunker import ChunkerParams
from casync.objects.node import (
    Node,
    NodeBuilder,
    Record,
    decode_node,
    iter_records,
)
from casync.planning import plan as planning
from casync.planning.node_match import OldTree
from casync.planning.plan import Block, PlanInput, plan
from casync.planning.stretches import REPEAT, STILL_ZERO, WANTED, ZERO, Stretch
from casync.planning.wanted_chunks import WantedChunks

PARAMS = ChunkerParams(64, 256, 1024)
HOLE = Record(zero_chunk_id(PARAMS.max_size), PARAMS.max_size)

Records = list[Record]


def chunk(number: int) -> Record:
    return Record(chunk_id(number.to_bytes(4, "big")), 1 + number % 500)


@dataclass
class Made:
    """A content, its nodes and its records, each with its offset."""

    records: Records
    nodes: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        builder = NodeBuilder(self.nodes.__setitem__)
        builder.extend(self.records)
        self.content = builder.finish()
        lengths = (record.length for record in self.records)
        self.starts = list(accumulate(lengths, initial=0))[:-1]

    def within(self, offset: int, length: int) -> Records:
        """The records that tile a range, which begins and ends where records do."""
        first, last = (bisect_left(self.starts, at) for at in (offset, offset + length))
        found = self.records[first:last]
        assert first == len(self.starts) or self.starts[first] == offset
        assert sum(record.length for record in found) == length
        return found

    def leaves(self) -> Iterator[tuple[int, bytes, Records]]:
        """The nodes of level 1 with their offsets; those of a single chunk have no id."""
        yield from self._leaves(self.content.level, 0, Record(self.content.id, self.content.length))

    def _leaves(
        self, level: int, offset: int, record: Record
    ) -> Iterator[tuple[int, bytes, Records]]:
        if not record.length:
            return
        if level == 0:
            yield offset, b"", [record]
            return
        below = list(map(Record._make, iter_records(self.nodes[record.id])))
        if level == 1:
            yield offset, record.id, below
            return
        for one in below:
            yield from self._leaves(level - 1, offset, one)
            offset += one.length


@dataclass
class ListSeed:
    """A seed whose chunks are listed, without its holes."""

    number: int
    made: Made

    def blocks(self, wanted: WantedChunks) -> Iterable[Block]:
        rows = [
            (record.id, offset)
            for record, offset in zip(self.made.records, self.made.starts, strict=True)
            if record != HOLE
        ]
        for at in range(0, len(rows), 100):
            ids, offsets = zip(*rows[at : at + 100], strict=True)
            yield Block(ids, partial(tuple, offsets))


@dataclass
class World:
    """A target, its seeds, and what a plan asks for."""

    new: Made
    trees: dict[int, Made]
    lists: dict[int, Made]
    lost: set[bytes] = field(default_factory=set)  # nodes of seeds that cannot be read
    fetched: Counter[tuple[int, bytes]] = field(default_factory=Counter)
    calls: int = 0
    reads: Counter[bytes] = field(default_factory=Counter)  # of nodes of seeds

    def plan(self, *, target: int | None = None, repeats: bool = True) -> list[Stretch]:
        given = PlanInput(
            contents=lambda: [(0, self.new.content)],
            fetch=self._fetch,
            read=lambda ids: [self.new.nodes[one] for one in ids],
            params=PARAMS,
            trees=[self._tree(number, made) for number, made in self.trees.items()],
            lists=[ListSeed(number, made) for number, made in self.lists.items()],
            target=target,
            repeats=repeats,
            part_chunks=planning._FIRST_CHUNKS,
        )
        return list(plan(given))

    def _fetch(self, level: int, records: Sequence[Record]) -> list[Node]:
        self.calls += 1
        self.fetched.update((level, record.id) for record in records)
        return [decode_node(self.new.nodes[one.id], level, one.length) for one in records]

    def _tree(self, number: int, made: Made) -> OldTree:
        def find(ident: NodeId, level: int, length: int) -> Node:
            self.reads[ident] += 1
            if ident in self.lost:
                raise NoObjectError("gone")
            return decode_node(made.nodes[ident], level, length)

        def read(ids: Sequence[NodeId]) -> list[bytes | None]:
            self.reads.update(ids)
            return [None if ident in self.lost else made.nodes[ident] for ident in ids]

        return OldTree(number, made.content, find, read)

    def check(
        self, stretches: list[Stretch], *, target: int | None = None, repeats: bool = True
    ) -> set[bytes]:
        """Checks that a plan is true; returns the ids of the chunks that it wants."""
        seeds = self.trees | self.lists
        position = 0
        wanted: list[bytes] = []
        for stretch in stretches:
            assert stretch.offset == position
            assert stretch.length > 0
            position += stretch.length
            records = self.new.within(stretch.offset, stretch.length)
            if stretch.origin in {ZERO, STILL_ZERO}:
                assert set(records) == {HOLE}
                if stretch.origin == STILL_ZERO:
                    assert target is not None
                    assert seeds[target].within(stretch.offset, stretch.length) == records
            elif stretch.origin == WANTED:
                assert HOLE not in records
                wanted += [record.id for record in records]
            elif stretch.origin == REPEAT:
                assert repeats
                assert stretch.source < stretch.offset
                assert self.new.within(stretch.source, stretch.length) == records
            else:
                seed = seeds[stretch.origin]
                assert seed.within(stretch.source, stretch.length) == records
        assert position == self.new.content.length
        if repeats:
            assert len(wanted) == len(set(wanted))
        return set(wanted)

    def readable(self, made: Made) -> bool:
        return not self.lost & made.nodes.keys()

    def had(self, stretches: list[Stretch], wanted: set[bytes], *, one_part: bool) -> set[bytes]:
        """Chunks that a plan must have found."""
        found = {record.id for made in self.lists.values() for record in made.records}
        matched = {
            ident
            for made in [self.new]
            for offset, ident, below in made.leaves()
            for stretch in stretches
            if stretch.origin >= 0
            and stretch.offset <= offset
            and offset + sum(r.length for r in below) <= stretch.offset + stretch.length
        }
        for made in self.trees.values():
            if not self.readable(made):
                continue
            pays = one_part and len(wanted) * 300 >= made.content.length // PARAMS.avg_size
            for _, ident, below in made.leaves():
                if pays or ident not in matched:
                    found.update(record.id for record in below)
        return found


def mixed(rng: random.Random, base: Records) -> Records:
    """What a few edits make of a content."""
    records = list(base)
    for _ in range(rng.randrange(1, 7)):
        size = rng.choice([1, 3, 50, 700])
        at = rng.randrange(len(records) + 1)
        block = records[at : at + size]
        place = rng.randrange(len(records) + 1)
        edit = rng.randrange(7)
        if edit == 0:  # moved
            del records[at : at + size]
            records[place:place] = block
        elif edit == 1:  # repeated
            records[place:place] = block * rng.randrange(1, 4)
        elif edit == 2:  # inserted
            records[at:at] = [chunk(rng.randrange(10**6)) for _ in range(size)]
        elif edit == 3:  # deleted
            del records[at : at + size]
        elif edit == 4:  # reversed
            records[at : at + size] = reversed(block)
        elif edit == 5:  # replaced
            records[at : at + size] = [chunk(rng.randrange(10**6)) for _ in block]
        else:  # a hole, whose whole nodes repeat
            records[at:at] = [HOLE] * rng.choice([1, 10, 1200])
    return records


def world(seed: int) -> World:
    rng = random.Random(seed)
    size = rng.choice([0, 1, 40, 400, 4000, 14_000])
    base = [chunk(rng.randrange(size * 3)) for _ in range(size)]
    if size > 1000 and rng.random() < 0.5:
        base[500:500] = base[:900] * 2  # whole nodes repeat
    trees: dict[int, Made] = {}
    lists: dict[int, Made] = {}
    for number in range(rng.randrange(4)):
        made = Made(mixed(rng, base) if rng.random() < 0.8 else list(base))
        (trees if rng.random() < 0.7 else lists)[number] = made
    found = World(Made(mixed(rng, base)), trees, lists)
    if rng.random() < 0.3:
        ids = sorted({ident for made in trees.values() for ident in made.nodes})
        found.lost = {ident for ident in ids if rng.random() < 0.2}
    return found


@given(st.integers(0, 10**9), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_plan_is_true_and_wants_nothing_that_it_could_find(
    seed: int, repeats: bool, in_place: bool
) -> None:
    given = world(seed)
    target = min(given.trees | given.lists, default=None) if in_place else None
    stretches = given.plan(target=target, repeats=repeats)
    wanted = given.check(stretches, target=target, repeats=repeats)
    assert not wanted & given.had(stretches, wanted, one_part=True)
    again = {key for key, times in given.fetched.items() if times > 1 and key[0] > 1}
    assert not again


@given(st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_the_same_holds_for_a_target_in_many_parts(seed: int) -> None:
    given = world(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "_FIRST_CHUNKS", 16)
        patch.setattr(planning, "_TOGETHER", 2)
        stretches = given.plan()
    wanted = given.check(stretches)
    assert not wanted & given.had(stretches, wanted, one_part=False)
    assert not {key for key, times in given.fetched.items() if times > 1 and key[0] > 1}


def updated(base: Records, places: Iterable[int]) -> Records:
    """The same records, but new ones of the same lengths at some places."""
    records = list(base)
    for at in places:
        records[at] = Record(chunk_id(b"new" + at.to_bytes(4, "big")), base[at].length)
    return records


def assert_all_else_stays(given: World, changed: int) -> None:
    """In place, all chunks but the changed ones stay in seed 0."""
    stretches = given.plan(target=0)
    assert len(given.check(stretches, target=0)) == changed
    assert {(one.origin, one.source - one.offset) for one in stretches if one.origin != WANTED} == {
        (0, 0)
    }


@given(st.sets(st.integers(0, 5999), min_size=1, max_size=60))
@settings(max_examples=10, deadline=None)
def test_what_does_not_change_stays_in_the_target(changed: set[int]) -> None:
    base = [chunk(number) for number in range(6000)]
    given = World(Made(updated(base, changed)), {0: Made(base)}, {})
    assert_all_else_stays(given, len(changed))


@pytest.mark.parametrize(("first", "last"), [(0, 6000), (100, 4000), (2000, 2600), (2000, 2010)])
def test_what_another_seed_has_too_stays_in_the_target(first: int, last: int) -> None:
    base = [chunk(number) for number in range(6000)]
    changed = range(50, 6000, 150)
    given = World(Made(updated(base, changed)), {0: Made(base), 1: Made(base[first:last])}, {})
    assert_all_else_stays(given, len(changed))
    given.lists[2] = given.trees.pop(1)
    assert_all_else_stays(given, len(changed))


def test_a_node_that_the_target_repeats_stays_at_both_places() -> None:
    base = [chunk(number) for number in range(2000)] * 2
    given = World(Made(updated(base, [100])), {0: Made(base)}, {})
    assert_all_else_stays(given, 1)


def test_chunks_that_a_listed_target_repeats_stay_at_all_places() -> None:
    rng = random.Random(1)
    base = [chunk(rng.randrange(50)) for _ in range(3000)]
    given = World(Made(updated(base, [100, 2000])), {}, {0: Made(base)})
    assert_all_else_stays(given, 2)


def test_a_hole_that_stays_in_the_target_needs_no_look() -> None:
    base = [chunk(number) for number in range(500)]
    old = [*base, *[HOLE] * 5000, *reversed(base)]
    given = World(Made(updated(old, [100, 5900])), {0: Made(old)}, {})
    stretches = given.plan(target=0)
    assert len(given.check(stretches, target=0)) == 2
    still = sum(one.length for one in stretches if one.origin == STILL_ZERO)
    rest = sum(one.length for one in stretches if one.origin == ZERO)
    assert still > 9 * rest  # the rest are chunks of zeros in nodes that have other chunks


def test_a_hole_of_the_target_is_not_walked_where_it_ends() -> None:
    base = [chunk(number) for number in range(500)]
    given = World(Made(base), {0: Made([*base, *[HOLE] * 300_000])}, {})
    given.check(given.plan(target=0), target=0)
    assert given.reads.total() < 20


def test_one_changed_record_reads_a_path_of_nodes() -> None:
    base = [chunk(number) for number in range(120_000)]
    new = list(base)
    new[70_000] = chunk(10**6)
    given = World(Made(new), {0: Made(base)}, {})
    assert given.new.content.level == 3
    stretches = given.plan()
    assert given.check(stretches) == {chunk(10**6).id}
    assert len(stretches) == 3
    # A node of each level, or two where the new record divides or joins them.
    levels = Counter(level for level, _ in given.fetched)
    assert all(levels[level] <= 2 for level in (1, 2, 3))
    assert max(given.fetched.values()) == 1


def test_an_equal_content_reads_no_node() -> None:
    base = [chunk(number) for number in range(5000)]
    given = World(Made(base), {0: Made(base)}, {})
    assert given.plan() == [Stretch(0, given.new.content.length, 0, 0)]
    assert not given.fetched


def test_a_hole_of_petabytes_is_planned_in_a_few_steps() -> None:
    from casync.objects.node import Run

    made = Made([chunk(1)])
    builder = NodeBuilder(made.nodes.__setitem__)
    builder.add(Run(chunk(1).id, chunk(1).length, 1))
    builder.add(Run(*HOLE, 10**12))
    builder.add(Run(chunk(2).id, chunk(2).length, 1))
    made.content = builder.finish()
    given = World(made, {}, {})
    stretches = given.plan()
    assert [one.origin for one in stretches] == [WANTED, ZERO, WANTED]
    assert sum(given.fetched.values()) < 40
