"""Windows tile the content, and repeats point backwards."""

from __future__ import annotations

import random

import pytest

from casync.errors import MalformedError
from casync.ids import ChunkId, NodeId, chunk_id, zero_chunk_id
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.node import Content, Node, NodeBuilder, Record, Run, decode_node
from casync.planning.windows import WINDOW_BYTES, FirstPlaces, Window, distinct_windows, windows

MAX = DEFAULT_PARAMS.max_size


def build(runs: list[Run]) -> tuple[Content, dict[bytes, bytes]]:
    nodes: dict[bytes, bytes] = {}
    builder = NodeBuilder(nodes.__setitem__)
    for run in runs:
        builder.add(run)
    return builder.finish(), nodes


def chunk(number: int, length: int = 20_000, times: int = 1) -> Run:
    return Run(chunk_id(number.to_bytes(4, "big")), length, times)


def windows_of(runs: list[Run]) -> list[Window]:
    content, nodes = build(runs)

    def fetch(ident: NodeId, level: int, length: int) -> Node:
        return decode_node(nodes[ident], level, length)

    return list(windows(content, fetch, MAX))


def test_empty_content_has_no_window() -> None:
    assert windows_of([]) == []


def test_windows_tile_the_content_and_stay_within_bounds() -> None:
    rng = random.Random(1)
    runs = [chunk(rng.randrange(500), rng.choice([100, 5_000, MAX])) for _ in range(5_000)]
    runs = [Run(r.id, 100 + r.id[0] * 200, rng.choice([1, 1, 1, 3000])) for r in runs]
    found = windows_of(runs)
    position = 0
    for window in found:
        assert window.start == position
        pieces = sorted([(p.offset, p.length) for p in window.places] + window.zeros)
        for offset, length in pieces:
            assert offset == position
            position += length
        assert window.end == position
        assert len(window.places) <= MAX_BATCH_IDS
        assert sum(place.length for place in window.places) <= WINDOW_BYTES
    assert position == sum(run.length * run.times for run in runs)


def test_a_hole_of_terabytes_is_one_range() -> None:
    zero = Run(zero_chunk_id(MAX), MAX, 10_000_000_000_000 // MAX)
    found = windows_of([chunk(1), zero, chunk(2)])
    assert len(found) == 1
    assert sum(length for _, length in found[0].zeros) == zero.length * zero.times
    assert [place.id for place in found[0].places] == [chunk(1).id, chunk(2).id]


def test_zeros_of_another_length_are_ordinary_chunks() -> None:
    short = Run(zero_chunk_id(100), 100, 1)
    (window,) = windows_of([chunk(1), short])
    assert window.zeros == []
    assert len(window.places) == 2


def test_repeats_point_to_the_first_place_in_an_earlier_or_the_same_window() -> None:
    runs = [chunk(n, MIB // 4) for n in range(300)] + [chunk(7, MIB // 4), chunk(299, MIB // 4)]
    first_places = FirstPlaces()
    repeats = []
    for number, window in enumerate(windows_of(runs)):
        fresh, again = first_places.split(window)
        assert [p.id for p in fresh] == list(dict.fromkeys(p.id for p in fresh))
        repeats += [(number, place, first, first_places.window_of(first)) for place, first in again]
    (seven, last) = repeats
    assert seven[2] == 7 * (MIB // 4)
    assert seven[3] == 0
    assert last[1].id == ChunkId(chunk(299).id)
    assert last[3] <= last[0]


def test_zeros_that_meet_are_one_range_however_they_are_listed() -> None:
    def fetch(ident: NodeId, level: int, length: int) -> Node:
        zeros = Record(zero_chunk_id(MAX), MAX)
        if level == 1:
            return Node(1, [zeros] * (length // MAX))
        return Node(2, [Record(b"a" * 32, 2 * MAX), Record(b"b" * 32, 3 * MAX)] * 200)

    (window,) = windows(Content(2, b"r" * 32, 1000 * MAX), fetch, MAX)
    assert window == (0, 1000 * MAX, [(0, 1000 * MAX)], [])


def test_without_a_target_each_distinct_node_is_walked_once() -> None:
    runs = [chunk(n, 5_000) for n in range(600)]
    content, nodes = build(runs * 20)
    walked: list[NodeId] = []

    def fetch(ident: NodeId, level: int, length: int) -> Node:
        walked.append(ident)
        return decode_node(nodes[ident], level, length)

    found = [place for window in distinct_windows(content, fetch, MAX) for place in window.places]
    assert len(walked) == len(set(walked)) == len(nodes)
    assert {place.id for place in found} == {run.id for run in runs}
    assert len(found) < 600 * 20


def test_a_chunk_with_two_lengths_is_refused() -> None:
    (window,) = windows_of([chunk(1, 100), chunk(2, 100), chunk(1, 101)])
    with pytest.raises(MalformedError, match="two lengths"):
        FirstPlaces().split(window)
