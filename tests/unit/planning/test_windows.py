"""Windows tile runs of chunks."""

from __future__ import annotations

import random

from casync.ids import NodeId, chunk_id, zero_chunk_id
from casync.limits import MAX_BATCH_IDS, MIB
from casync.objects.chunk_runs import runs
from casync.objects.chunker import DEFAULT_PARAMS
from casync.objects.node import (
    Content,
    Node,
    NodeBuilder,
    Record,
    Run,
    decode_node,
)
from casync.planning.windows import Window, tile

MAX = DEFAULT_PARAMS.max_size


def build(chunks: list[Run]) -> tuple[Content, dict[bytes, bytes]]:
    nodes: dict[bytes, bytes] = {}
    builder = NodeBuilder(nodes.__setitem__)
    for run in chunks:
        builder.add(run)
    return builder.finish(), nodes


def chunk(number: int, length: int = 20_000, times: int = 1) -> Run:
    return Run(chunk_id(number.to_bytes(4, "big")), length, times)


def windows_of(chunks: list[Run]) -> list[Window]:
    content, nodes = build(chunks)

    def find(ident: NodeId, level: int, length: int) -> Node:
        return decode_node(nodes[ident], level, length)

    return list(tile(runs(content, find), MAX))


def test_empty_content_has_no_window() -> None:
    assert windows_of([]) == []


def test_windows_tile_the_content_and_stay_within_bounds() -> None:
    rng = random.Random(1)
    chunks = [chunk(rng.randrange(500), rng.choice([100, 5_000, MAX])) for _ in range(5_000)]
    chunks = [Run(r.id, 100 + r.id[0] * 200, rng.choice([1, 1, 1, 3000])) for r in chunks]
    found = windows_of(chunks)
    position = 0
    for window in found:
        assert window.start == position
        pieces = sorted([(p.offset, p.length) for p in window.places] + window.zeros)
        for offset, length in pieces:
            assert offset == position
            position += length
        assert window.end == position
        assert len(window.places) <= MAX_BATCH_IDS
        assert sum(place.length for place in window.places) <= 16 * MIB
    assert position == sum(run.length * run.times for run in chunks)


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


def test_zeros_that_meet_are_one_range_however_they_are_listed() -> None:
    def find(ident: NodeId, level: int, length: int) -> Node:
        zeros = Record(zero_chunk_id(MAX), MAX)
        if level == 1:
            return Node(1, [zeros] * (length // MAX))
        return Node(2, [Record(b"a" * 32, 2 * MAX), Record(b"b" * 32, 3 * MAX)] * 200)

    (window,) = tile(runs(Content(2, b"r" * 32, 1000 * MAX), find), MAX)
    assert window == (0, 1000 * MAX, [(0, 1000 * MAX)], [])
