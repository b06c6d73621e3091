"""Law: nodes represent the runs they were built from, read from any byte, added in any way."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from casync.ids import NodeId, chunk_id
from casync.objects.chunk_runs import runs
from casync.objects.node import (
    Content,
    Node,
    NodeBuilder,
    Record,
    Run,
    decode_node,
)

# Few ids, so records repeat; some of them end nodes.
IDENTS = [chunk_id(b"%d" % number) for number in range(6)] + [bytes(31) + b"\x80", bytes(32)]

some_runs = st.lists(
    st.builds(
        Run,
        st.sampled_from(IDENTS),
        st.integers(1, 5),
        st.integers(1, 3) | st.integers(0, 40) | st.integers(500, 9000),
    ),
    max_size=60,
)


def build(given_runs: Iterable[Run]) -> tuple[Content, dict[bytes, bytes]]:
    nodes: dict[bytes, bytes] = {}
    builder = NodeBuilder(nodes.__setitem__)
    for run in given_runs:
        builder.add(run)
    return builder.finish(), nodes


def flat(some: Iterable[Run]) -> list[Record]:
    return [Record(run.id, run.length) for run in some for _ in range(run.times)]


@given(some_runs, st.data())
def test_round_trip_and_walk_from_anywhere(given_runs: list[Run], draw: st.DataObject) -> None:
    content, nodes = build(given_runs)
    records = flat(given_runs)
    assert content.length == sum(record.length for record in records)

    def fetch(ident: NodeId, level: int, length: int) -> Node:
        return decode_node(nodes[ident], level, length)

    walked = list(runs(content, fetch))
    assert flat(run for _, run in walked) == records
    position = 0
    for offset, run in walked:
        assert offset == position
        position += run.length * run.times
    start = draw.draw(st.integers(0, content.length + 3))
    rest = list(runs(content, fetch, start))
    if start >= content.length:
        assert rest == []
    else:
        offset, run = rest[0]
        assert offset <= start < offset + run.length
        tail = flat(run for _, run in rest)
        assert tail == records[len(records) - len(tail) :]
        assert offset + sum(record.length for record in tail) == content.length


@given(some_runs)
def test_runs_are_singles(given_runs: list[Run]) -> None:
    records = flat(given_runs)
    joined = [Run(*record, len(list(group))) for record, group in groupby(records)]
    singles = [Run(*record, 1) for record in records]
    assert build(given_runs) == build(singles) == build(joined)


@given(some_runs, st.integers(1, 3000), st.sets(st.integers(0, 60)))
def test_many_at_once_are_one_by_one(given_runs: list[Run], most: int, alone: set[int]) -> None:
    nodes: dict[bytes, bytes] = {}
    builder = NodeBuilder(nodes.__setitem__)
    for number, run in enumerate(given_runs):
        if number in alone:
            builder.add(run)
            continue
        records = flat([run])
        for start in range(0, len(records), most):
            builder.extend(records[start : start + most])
    assert (builder.finish(), nodes) == build(given_runs)


@given(some_runs)
def test_nodes_have_the_sizes_that_the_rule_gives(given_runs: list[Run]) -> None:
    content, nodes = build(given_runs)
    if content.level:
        root = decode_node(nodes[content.id], content.level, content.length)
        assert len(root.records) >= 2
    if content.level > 1:
        for record in root.records[:-1]:
            below = decode_node(nodes[record.id], content.level - 1, record.length)
            assert 16 <= len(below.records) <= 512
            assert len(below.records) == 512 or below.records[-1].id[-1] & 0x7F == 0
