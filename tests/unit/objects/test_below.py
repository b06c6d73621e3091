"""The walk of distinct nodes: each one once, in batches, whatever the graph."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest

from casync.errors import NoObjectError
from casync.ids import Kind, NodeId, ObjectId, chunk_id, node_id
from casync.limits import MAX_BATCH_IDS, MAX_LEVEL
from casync.objects.below import Reached, Seen, walk_nodes
from casync.objects.node import Content, NodeBuilder, Record, Run, decode_node, encode_records


class Nodes:
    """Nodes by id, and how often each was requested."""

    def __init__(self) -> None:
        self.data: dict[NodeId, bytes] = {}
        self.asked: Counter[NodeId] = Counter()
        self.batches: list[int] = []

    def add(self, level: int, records: Sequence[Record]) -> Content:
        """Stores one node, valid or not, and returns its id."""
        data = encode_records(level, list(records))
        ident = node_id(data)
        self.data[ident] = data
        return Content(level, ident, sum(record.length for record in records))

    def build(self, runs: Iterable[Run]) -> Content:
        builder = NodeBuilder(self.data.__setitem__)
        for run in runs:
            builder.add(run)
        return builder.finish()

    def fetch(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bytes | None]:
        assert kind is Kind.NODE
        nodes = [NodeId(ident) for ident in ids]
        self.asked.update(nodes)
        self.batches.append(len(nodes))
        return list(map(self.data.get, nodes))

    def walk(self, content: Content, seen: Seen | None = None) -> list[Reached]:
        found = {} if seen is None else seen
        return list(walk_nodes([content], self.fetch, found, strict=True))


def chunk(number: int, length: int = 1000) -> Run:
    return Run(chunk_id(number.to_bytes(8, "big")), length, 1)


def record_of(content: Content, length: int | None = None) -> Record:
    return Record(content.id, content.length if length is None else length)


@pytest.fixture
def nodes() -> Nodes:
    return Nodes()


def test_every_node_is_visited_once(nodes: Nodes) -> None:
    rng = random.Random(1)
    content = nodes.build(chunk(rng.randrange(3000)) for _ in range(50_000))
    reached = nodes.walk(content)
    assert content.level >= 2
    assert Counter(found.id for found in reached) == dict.fromkeys(nodes.data, 1)
    assert set(nodes.asked.values()) == {1}
    for found in reached:
        assert found.node is not None
        assert found.id is not None
        assert found.node == decode_node(nodes.data[found.id], found.node.level, found.node.length)


def test_upper_levels_come_first(nodes: Nodes) -> None:
    content = nodes.build(map(chunk, range(50_000)))
    levels = [found.node.level for found in nodes.walk(content) if found.node]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == content.level


def test_batches_are_large_and_bounded(nodes: Nodes) -> None:
    content = nodes.build(map(chunk, range(300_000)))
    nodes.walk(content)
    assert max(nodes.batches) == MAX_BATCH_IDS
    assert len(nodes.batches) <= content.level + len(nodes.data) // MAX_BATCH_IDS + 1


def test_one_chunk_has_no_nodes(nodes: Nodes) -> None:
    assert nodes.walk(nodes.build([chunk(1)])) == []
    assert nodes.walk(nodes.build([])) == []


def test_a_hole_is_a_handful_of_nodes(nodes: Nodes) -> None:
    content = nodes.build([Run(chunk_id(bytes(65536)), 65536, 200_000_000)])
    assert len(nodes.walk(content)) < 20


def test_a_second_walk_sees_only_what_is_new(nodes: Nodes) -> None:
    seen: Seen = {}
    runs = [chunk(number) for number in range(20_000)]
    nodes.walk(nodes.build(runs), seen)
    before = set(seen)
    runs[10_000] = chunk(77_777)
    changed = nodes.build(runs)
    new = nodes.walk(changed, seen)
    assert {found.id for found in new} == set(nodes.data) - before
    assert len(new) <= 4
    assert nodes.walk(changed, seen) == []
    assert set(nodes.asked.values()) == {1}


def test_a_graph_that_unfolds_exponentially_is_walked_by_its_nodes(nodes: Nodes) -> None:
    # 512 paths at each of 8 levels: 4.7e21 ways down, 8 nodes.
    content = nodes.add(1, [Record(b"\1" * 32, 1)] * 512)
    for level in range(2, MAX_LEVEL):
        content = nodes.add(level, [record_of(content)] * 2)
    reached = nodes.walk(content)
    assert len(reached) == MAX_LEVEL - 1
    assert all(found.node is not None for found in reached)


@pytest.mark.parametrize("share", [False, True])
def test_a_root_with_a_single_record_is_a_fault_wherever_it_was_seen(
    nodes: Nodes, *, share: bool
) -> None:
    seen: Seen = {}
    lone = nodes.add(1, [Record(b"\1" * 32, 100)])
    pair = nodes.add(1, [Record(b"\2" * 32, 100)] * 2)
    honest = nodes.add(2, [record_of(pair), record_of(lone)])
    if share:
        assert all(found.node is not None for found in nodes.walk(honest, seen))
    fault = nodes.walk(lone, seen)[-1]
    assert fault.id == lone.id
    assert "single record" in str(fault.fault)
    assert nodes.asked[NodeId(lone.id)] == 1
    assert not any(found.fault for found in walk_nodes([lone], nodes.fetch, {}, strict=False))


def test_a_missing_node_hides_what_is_below_it(nodes: Nodes) -> None:
    content = nodes.build(map(chunk, range(50_000)))
    (root,) = [found for found in nodes.walk(content) if found.id == content.id]
    assert root.node is not None
    lost = NodeId(root.node.records[0].id)
    del nodes.data[lost]
    reached = {found.id: found for found in nodes.walk(content)}
    assert isinstance(reached[lost].fault, NoObjectError)
    assert sum(found.node is None for found in reached.values()) == 1


@pytest.mark.parametrize("length", [1, 10**15])
def test_a_wrong_length_is_a_fault(nodes: Nodes, length: int) -> None:
    content = nodes.build(map(chunk, range(1000)))
    (found,) = nodes.walk(Content(content.level, content.id, length))
    assert found.node is None
    assert "node of 1000000 bytes; expected: " in str(found.fault)


def test_a_wrong_level_is_a_fault(nodes: Nodes) -> None:
    content = nodes.build(map(chunk, range(1000)))
    (found,) = nodes.walk(Content(content.level + 1, content.id, content.length))
    assert "level" in str(found.fault)


def test_a_node_listed_with_two_lengths_is_followed_once(nodes: Nodes) -> None:
    inner = nodes.add(1, [Record(b"\1" * 32, 100)] * 2)
    liar = [record_of(inner, length) for length in (200, *range(1, 500))]
    outer = nodes.add(2, liar)
    reached = nodes.walk(outer)
    assert nodes.asked == {NodeId(inner.id): 1, NodeId(outer.id): 1}
    assert {found.id for found in reached if found.fault} == {inner.id}


def test_two_walks_with_different_lengths_of_a_node_are_a_fault(nodes: Nodes) -> None:
    seen: Seen = {}
    content = nodes.build(map(chunk, range(1000)))
    nodes.walk(content, seen)
    (found,) = nodes.walk(Content(content.level, content.id, 5), seen)
    assert (found.id, found.node) == (content.id, None)
    assert "two levels or two lengths" in str(found.fault)


def test_a_node_of_two_levels_is_a_fault(nodes: Nodes) -> None:
    low = nodes.add(1, [Record(b"\1" * 32, 100)] * 2)
    middle = nodes.add(2, [record_of(low)] * 2)
    top = nodes.add(3, [record_of(middle), record_of(low)])
    faults = [found for found in nodes.walk(top) if found.fault]
    assert [found.id for found in faults] == [low.id, low.id]
    assert "level" in str(faults[0].fault)


def test_garbage_is_a_fault(nodes: Nodes) -> None:
    ident = NodeId(b"\7" * 32)
    for garbage in (b"", b"garbage", bytes(48), encode_records(1, [])):
        nodes.data[ident] = garbage
        (found,) = nodes.walk(Content(1, ident, 40))
        assert found.node is None
        assert found.fault
