"""Portions tile a plan, within bounds, and list the chunks that the plan stands for."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import accumulate, chain, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casync.ids import NodeId, chunk_id, zero_chunk_id
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.node import Content, Node, NodeBuilder, Record, decode_node
from casync.planning.delta_groups import Anchor
from casync.planning.portions import PORTION_BYTES, Contents, CopyPiece, Portion, portions
from casync.planning.stretches import REPEAT, WANTED, Stretch
from casync.planning.windows import Place

MAX = 65_536
HOLE = Record(zero_chunk_id(MAX), MAX)


def chunk(number: int) -> Record:
    return Record(chunk_id(number.to_bytes(4, "big")), 1 + number * 7919 % MAX)


def built(records: list[Record]) -> tuple[Content, Callable[[NodeId, int, int], Node]]:
    nodes: dict[bytes, bytes] = {}
    builder = NodeBuilder(nodes.__setitem__)
    builder.extend(records)
    return builder.finish(), lambda ident, level, length: decode_node(nodes[ident], level, length)


def contents_of(records: list[Record]) -> Contents:
    content, find = built(records)
    contents = Contents(find, MAX)
    if content.length:
        contents.add(0, content)
    return contents


def starts_of(records: list[Record]) -> list[int]:
    return list(accumulate((record.length for record in records), initial=0))


def cut(
    records: list[Record],
    stretches: list[Stretch],
    *,
    trusted: int | None = None,
    repeats: bool = True,
) -> list[Portion]:
    return list(portions(stretches, contents_of(records), trusted=trusted, repeats=repeats))


def random_plan(rng: random.Random, records: list[Record]) -> list[Stretch]:
    """A plan of stretches that begin and end between chunks; what they say need not be true."""
    starts = starts_of(records)
    found: list[Stretch] = []
    at = 0
    while at < len(records):
        end = min(at + rng.choice([1, 2, 30, 500, 3000]), len(records))
        origin = rng.choice([WANTED, REPEAT, 0, 1, 2])
        if HOLE in records[at:end] and origin == WANTED:
            origin = 1
        source = starts[at] if rng.random() < 0.5 else rng.randrange(10**9)
        source = 0 if origin == WANTED else source
        found.append(Stretch(starts[at], starts[end] - starts[at], origin, source))
        at = end
    return found


@given(st.integers(0, 10**9), st.booleans(), st.sampled_from([None, 0]))
@settings(max_examples=40, deadline=None)
def test_portions_tile_a_plan_with_its_chunks(
    seed: int, repeats: bool, trusted: int | None
) -> None:
    rng = random.Random(seed)
    records = [chunk(rng.randrange(10**6)) for _ in range(rng.choice([0, 5, 900, 6000]))]
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(records) + 1)
        records[at:at] = [HOLE] * rng.choice([1, 3, 700])
    plan = random_plan(rng, records)
    where = dict(zip(starts_of(records), records, strict=False))
    position = 0
    covered: list[tuple[int, int]] = []
    kept = 0
    for number, portion in enumerate(cut(records, plan, trusted=trusted, repeats=repeats)):
        assert portion.number == number
        assert portion.start == position
        position = portion.end
        kept += portion.kept
        covered += portion.zeros
        for offset, length in portion.zeros:
            assert portion.start <= offset <= offset + length <= portion.end
        for piece in portion.copies + portion.repeats:
            assert (piece.seed == REPEAT) == (piece in portion.repeats)
            stretch = at_offset(plan, piece.offset)
            assert piece.seed == stretch.origin
            assert piece.source - stretch.source == piece.offset - stretch.offset
            assert piece.length == sum(length for _, length in piece.records)
            assert piece.length <= MIB or len(piece.records) == 1
        places = [place for piece in portion.copies + portion.repeats for place in piece.places]
        assert not repeats or HOLE not in [Record(p.id, p.length) for p in places]
        for place in [*places, *portion.wanted]:
            assert where[place.offset] == (place.id, place.length)
            assert portion.start <= place.offset < portion.end
        assert [at_offset(plan, place.offset).origin for place in portion.wanted] == [
            WANTED for _ in portion.wanted
        ]
        covered += [(place.offset, place.length) for place in [*places, *portion.wanted]]
        moved = sum(place.length for place in [*places, *portion.wanted])
        assert moved <= PORTION_BYTES + MAX
        assert len(list(portion.wanted)) <= MAX_BATCH_IDS
        assert len(places) <= (1 << 14) + 512
    assert position == sum(record.length for record in records)
    left_out = sum(
        one.length
        for one in plan
        if (one.origin == REPEAT and not repeats)
        or (one.origin == 0 == trusted and one.source == one.offset)
    )
    assert kept == sum(
        one.length for one in plan if one.origin == 0 == trusted and one.source == one.offset
    )
    covered.sort()
    assert all(start + length <= after for (start, length), (after, _) in pairwise(covered))
    assert sum(length for _, length in covered) == position - left_out


def at_offset(plan: list[Stretch], offset: int) -> Stretch:
    (found,) = [one for one in plan if one.offset <= offset < one.offset + one.length]
    return found


def test_an_empty_plan_is_one_empty_portion() -> None:
    assert cut([], []) == [Portion(0, 0, 0)]


def test_holes_inside_of_a_copied_stretch_become_zeros() -> None:
    records = [chunk(1), HOLE, HOLE, chunk(2), HOLE]
    total = sum(record.length for record in records)
    starts = starts_of(records)
    (portion,) = cut(records, [Stretch(0, total, 4, 1000)])
    assert portion.zeros == [(starts[1], MAX), (starts[2], MAX), (starts[4], MAX)]
    first, second = portion.copies
    assert first == CopyPiece(0, 4, 1000, [chunk(1)], chunk(1).length)
    assert second == CopyPiece(starts[3], 4, 1000 + starts[3], [chunk(2)], chunk(2).length)


def test_anchors_are_the_ends_of_the_stretches_of_seeds_on_both_sides() -> None:
    records = [chunk(number) for number in range(6)]
    starts = starts_of(records)
    lengths = [record.length for record in records]
    plan = [
        Stretch(0, lengths[0], WANTED),
        Stretch(starts[1], lengths[1], 7, 5000),
        Stretch(starts[2], lengths[2], WANTED),
        Stretch(starts[3], lengths[3], REPEAT, 0),
        Stretch(starts[4], lengths[4], WANTED),
        Stretch(starts[5], lengths[5], 8, 99),
    ]
    (portion,) = cut(records, plan)
    first, second, third = portion.missing
    behind = Anchor(7, 5000 + lengths[1], starts[2])
    assert (first.left, first.right) == (None, Anchor(7, 5000, starts[1]))
    assert (second.left, second.right) == (behind, None)
    assert (third.left, third.right) == (behind, Anchor(8, 99, starts[5]))
    assert second.places == [Place(starts[2], second.places[0].id, lengths[2])]


def test_a_run_that_fills_portions_keeps_its_anchors() -> None:
    records = [chunk(number) for number in range(5000)]
    starts = starts_of(records)
    plan = [
        Stretch(0, records[0].length, 3, 77),
        Stretch(starts[1], starts[4999] - starts[1], WANTED),
        Stretch(starts[4999], records[4999].length, 5, 123),
    ]
    found = cut(records, plan)
    assert len(found) > 8
    runs = [run for portion in found for run in portion.missing]
    assert {run.left for run in runs} == {Anchor(3, 77 + records[0].length, starts[1])}
    assert {run.right for run in runs} == {Anchor(5, 123, starts[4999])}
    assert all(run.places for run in runs)


def test_what_stays_and_is_trusted_is_counted_without_listing_its_chunks() -> None:
    def find(ident: NodeId, level: int, length: int) -> Node:
        raise AssertionError

    contents = Contents(find, MAX)
    contents.add(0, Content(3, bytes(32), 1 << 40))
    (portion,) = portions([Stretch(0, 1 << 40, 0, 0)], contents, trusted=0, repeats=True)
    assert portion == Portion(0, 0, 1 << 40, kept=1 << 40)


def test_what_moves_in_a_trusted_seed_is_copied() -> None:
    records = [chunk(1), chunk(2)]
    starts = starts_of(records)
    plan = [
        Stretch(0, starts[1], 0, 0),
        Stretch(starts[1], records[1].length, 0, starts[1] + 1),
    ]
    (portion,) = cut(records, plan, trusted=0)
    assert portion.kept == starts[1]
    assert [piece.offset for piece in portion.copies] == [starts[1]]


def test_chunks_of_several_contents_are_listed_one_after_the_other() -> None:
    contents = [[chunk(1)], [chunk(2), chunk(3)], [], [chunk(number) for number in range(4, 900)]]
    nodes: dict[bytes, bytes] = {}
    listed: list[tuple[int, Content]] = []
    offset = 0
    for records in contents:
        builder = NodeBuilder(nodes.__setitem__)
        builder.extend(records)
        listed.append((offset, builder.finish()))
        offset += listed[-1][1].length
    whole = Contents(lambda ident, level, size: decode_node(nodes[ident], level, size), MAX)
    assert list(whole.listed(listed)) == listed
    (*rest, last) = portions([Stretch(0, offset, 0, 0)], whole, trusted=None, repeats=True)
    places = [place for portion in [*rest, last] for one in portion.copies for place in one.places]
    assert [Record(place.id, place.length) for place in places] == list(
        chain.from_iterable(contents)
    )
    assert last.end == offset


@pytest.mark.parametrize("wanted", [set(), {0}, {1}, {0, 2}, {0, 1, 2}])
def test_a_piece_is_reduced_to_some_of_its_chunks(wanted: set[int]) -> None:
    records = [chunk(number) for number in range(3)]
    starts = starts_of(records)
    piece = CopyPiece(100, 2, 5000, records, starts[3])
    parts = piece.only({100 + starts[index] for index in wanted})
    found = [place for part in parts for place in part.places]
    assert found == [place for index, place in enumerate(piece.places) if index in wanted]
    for part in parts:
        assert part.source - part.offset == 4900
        assert part.length == sum(record.length for record in part.records)
        assert part.seed == 2
