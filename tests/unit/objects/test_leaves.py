"""Leaves against the walk of whole contents, and the nodes of holes."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.errors import MalformedError
from casync.ids import NodeId, chunk_id, zero_chunk_id
from casync.limits import MAX_LENGTH
from casync.objects.chunk_runs import runs
from casync.objects.leaves import LeafCursor, zero_nodes
from casync.objects.node import (
    LONE_ROOT,
    Content,
    Node,
    NodeBuilder,
    Record,
    Run,
    decode_node,
)

MAX = 4096
HOLE = Record(zero_chunk_id(MAX), MAX)


def built(parts: list[Run]) -> tuple[Content, dict[bytes, bytes]]:
    nodes: dict[bytes, bytes] = {}
    builder = NodeBuilder(nodes.__setitem__)
    for part in parts:
        builder.add(part)
    return builder.finish(), nodes


def finder(
    nodes: dict[bytes, bytes], read: list[NodeId] | None = None
) -> Callable[[NodeId, int, int], Node]:
    def find(ident: NodeId, level: int, length: int) -> Node:
        if read is not None:
            read.append(ident)
        return decode_node(nodes[ident], level, length)

    return find


def decode_level(data: bytes) -> int:
    return data[5]


def chunk(number: int, times: int = 1) -> Run:
    return Run(chunk_id(number.to_bytes(4, "big")), 1 + number % 300, times)


def mixed(rng: random.Random) -> list[Run]:
    """A content with holes and repeats."""
    hole = Run(HOLE.id, HOLE.length, rng.choice([1, 5, 600, 100_000]))
    parts = [chunk(rng.randrange(3000)) for _ in range(rng.randrange(1, 3000))]
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(parts) + 1)
        start = rng.randrange(len(parts))
        parts[at:at] = rng.choice([[hole], [chunk(7, 2000)], parts[start : start + 700]])
    return parts


def places_of(content: Content, nodes: dict[bytes, bytes]) -> list[tuple[int, Record]]:
    """Every chunk, as the walk of `runs` lists them."""
    return [
        (offset + number * run.length, Record(run.id, run.length))
        for offset, run in runs(content, finder(nodes))
        for number in range(run.times)
    ]


@given(st.integers(0, 10**9), st.booleans())
def test_a_leaf_covers_any_offset_with_the_chunks_of_the_content(seed: int, ascend: bool) -> None:
    rng = random.Random(seed)
    content, nodes = built(mixed(rng))
    places = places_of(content, nodes)
    starts = [offset for offset, _ in places]
    offsets = [rng.randrange(content.length) for _ in range(30)] + [0, content.length - 1]
    cursor = LeafCursor(content, finder(nodes))
    for offset in sorted(offsets) if ascend else offsets:
        leaf = cursor.at(offset)
        assert leaf.start <= offset < leaf.end
        first = bisect_right(starts, leaf.start) - 1
        assert (
            list(zip(leaf.starts, leaf.records, strict=True))
            == (places[first : first + len(leaf.records)])
        )
        assert leaf.end == leaf.starts[-1] + leaf.records[-1].length
        index = leaf.first(offset)
        assert leaf.starts[index] == starts[bisect_right(starts, offset) - 1]


@given(st.integers(0, 10**9))
def test_chunks_between_two_offsets_are_those_that_overlap(seed: int) -> None:
    rng = random.Random(seed)
    content, nodes = built(mixed(rng))
    places = places_of(content, nodes)
    starts = [offset for offset, _ in places]
    cursor = LeafCursor(content, finder(nodes))
    for _ in range(10):
        start, end = sorted(rng.randrange(content.length + 1) for _ in range(2))
        end = min(end, start + 3_000_000)
        first = bisect_right(starts, start) - 1
        last = bisect_right(starts, end - 1)
        assert list(cursor.chunks(start, end)) == (places[first:last] if start < end else [])


def test_ascending_offsets_read_each_node_once() -> None:
    content, nodes = built([chunk(number) for number in range(20_000)])
    assert content.level == 3
    read: list[NodeId] = []
    cursor = LeafCursor(content, finder(nodes, read))
    for offset in range(0, content.length, 50):
        cursor.at(offset)
    assert len(read) == len(set(read)) == len(nodes)


def test_leaves_that_follow_each_other_are_loaded_together_before_they_are_read() -> None:
    content, nodes = built([chunk(number) for number in range(20_000)])
    read: list[NodeId] = []
    loaded: list[NodeId] = []
    times: list[int] = []

    def load(ids: Sequence[NodeId]) -> None:
        assert not {*ids} & {*read}
        times.append(len(ids))
        loaded.extend(ids)

    cursor = LeafCursor(content, finder(nodes, read), load)
    assert sum(1 for _ in cursor.chunks(0, content.length)) == 20_000
    leaves = [ident for ident in read if decode_level(nodes[ident]) == 1]
    assert loaded == leaves
    assert len(times) < len(leaves) / 5


def test_a_leaf_far_from_the_one_before_is_loaded_alone() -> None:
    content, nodes = built([chunk(number) for number in range(20_000)])
    loaded: list[Sequence[NodeId]] = []
    cursor = LeafCursor(content, finder(nodes), loaded.append)
    for offset in range(content.length // 10, content.length, content.length // 10):
        cursor.at(offset)
    assert not loaded


def test_a_single_chunk_is_a_leaf_of_its_own() -> None:
    content, nodes = built([chunk(5)])
    assert nodes == {}
    leaf = LeafCursor(content, finder(nodes)).at(3)
    assert leaf == (0, 6, [Record(content.id, 6)], [0])


def test_a_root_with_a_single_record_is_refused() -> None:
    def find(ident: NodeId, level: int, length: int) -> Node:
        return Node(level, [Record(bytes(32), length)])

    with pytest.raises(MalformedError, match=LONE_ROOT):
        LeafCursor(Content(1, b"r" * 32, 100), find).at(0)


@pytest.mark.parametrize("max_size", [MAX, 65_536])
def test_nodes_of_zeros_are_exactly_those_of_the_longest_hole(max_size: int) -> None:
    hole = Run(zero_chunk_id(max_size), max_size, MAX_LENGTH // max_size)
    content, nodes = built([hole])
    zeros = zero_nodes(max_size)
    assert zeros.keys() == nodes.keys()
    assert zeros[content.id] == content.length
    for ident, length in zeros.items():
        level = nodes[ident][5]
        node = decode_node(nodes[ident], level, length)
        for record in set(node.records):
            assert record == hole_record(max_size) if level == 1 else record.id in zeros


@pytest.mark.parametrize("max_size", [MAX, 65_536])
@pytest.mark.parametrize("times", [512, 512 * 512, 512 * 512 * 7 + 5, 10**9], ids=str)
def test_a_long_hole_is_made_of_nodes_of_zeros(max_size: int, times: int) -> None:
    content, nodes = built([Run(zero_chunk_id(max_size), max_size, times)])
    zeros = zero_nodes(max_size)
    assert any(ident in zeros for ident in nodes)
    # Only the last node of each level is shorter.
    assert len(nodes.keys() - zeros.keys()) <= content.level
    for ident in nodes.keys() & zeros.keys():
        assert decode_node(nodes[ident], nodes[ident][5], zeros[ident]).length == zeros[ident]


def hole_record(max_size: int) -> Record:
    return Record(zero_chunk_id(max_size), max_size)
