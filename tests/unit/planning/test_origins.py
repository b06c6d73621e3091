"""Origins against brute force: the bytes of one content are searched in the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.errors import MalformedError
from casync.ids import ChunkId, NodeId, chunk_id, zero_chunk_id
from casync.limits import TIB
from casync.objects.chunker import ChunkerParams
from casync.objects.node import Content, Node, NodeBuilder, Record, Run, decode_node
from casync.planning.node_match import OldTree
from casync.planning.origins import ByteOrigin, OriginMap, origin_of
from casync.planning.plan import PlanInput, plan
from casync.planning.stretches import ZERO, Stretch

PARAMS = ChunkerParams(256, 1024, 4096)
HOLE = Run(zero_chunk_id(PARAMS.max_size), PARAMS.max_size, 1)


def chunk(number: int, times: int = 1) -> Run:
    return Run(chunk_id(bytes([number])), 100 + number, times)


def build(parts: list[Run]) -> tuple[Content, dict[bytes, bytes]]:
    nodes: dict[bytes, bytes] = {}
    builder = NodeBuilder(nodes.__setitem__)
    for part in parts:
        builder.add(part)
    return builder.finish(), nodes


def finder(nodes: dict[bytes, bytes]) -> Callable[[NodeId, int, int], Node]:
    return lambda ident, level, length: decode_node(nodes[ident], level, length)


def planned(old: list[Run], new: list[Run]) -> list[Stretch]:
    """The plan for an owner of `old`."""
    content, nodes = build(new)
    before, old_nodes = build(old)

    def fetch(level: int, records: Sequence[Record]) -> list[Node]:
        return [decode_node(nodes[one.id], level, one.length) for one in records]

    tree = OldTree(0, before, finder(old_nodes), lambda ids: [old_nodes.get(one) for one in ids])
    given = PlanInput(
        contents=lambda: [(0, content)],
        fetch=fetch,
        read=lambda ids: [nodes[one] for one in ids],
        params=PARAMS,
        trees=[tree],
        target=0,
    )
    return list(plan(given))


def places(parts: list[Run]) -> Iterator[tuple[int, ChunkId, int]]:
    offset = 0
    for part in parts:
        for _ in range(part.times):
            yield offset, ChunkId(part.id), part.length
            offset += part.length


def expected(old: list[Run], new: list[Run]) -> list[tuple[int, set[ByteOrigin]]]:
    """The possible origins of every chunk, by searching everything each time.

    A hole inside of a node that the old content has is one step of the node.
    """
    before = list(places(old))
    had = {other for _, other, _ in before}
    seen: set[ChunkId] = set()
    origins: list[tuple[int, set[ByteOrigin]]] = []
    for place in places(new):
        offset, ident, _ = place
        if ident == HOLE.id:
            origin = {ByteOrigin.ZERO}
            if place in before:
                origin.add(ByteOrigin.SAME)
            if ident in had:
                origin.add(ByteOrigin.MOVED)
            if ident in seen:
                origin.add(ByteOrigin.REPEAT)
        elif place in before:
            origin = {ByteOrigin.SAME}
        elif ident in had:
            origin = {ByteOrigin.MOVED}
        else:
            origin = {ByteOrigin.REPEAT} if ident in seen else {ByteOrigin.TRAVEL}
        seen.add(ident)
        origins.append((offset, origin))
    return origins


parts = st.lists(
    st.one_of(
        st.just(Run(HOLE.id, HOLE.length, 3)),
        st.builds(chunk, st.integers(0, 6), st.integers(1, 3)),
    ),
    max_size=30,
)


@given(parts, parts)
def test_every_chunk_has_the_origin_that_brute_force_finds(old: list[Run], new: list[Run]) -> None:
    found = planned(old, new)
    position = 0
    for stretch in found:
        assert stretch.offset == position
        position += stretch.length
    assert position == sum(part.length * part.times for part in new)
    for offset, origins in expected(old, new):
        (covering,) = [s for s in found if s.offset <= offset < s.offset + s.length]
        assert origin_of(covering) in origins


@given(parts)
def test_equal_contents_are_one_stretch(old: list[Run]) -> None:
    total = sum(part.length * part.times for part in old)
    found = planned(old, list(old))
    if len(list(places(old))) > 1:
        assert found == [Stretch(0, total, 0, 0)]
    elif found and old[0].id != HOLE.id:
        assert [origin_of(stretch) for stretch in found] == [ByteOrigin.SAME]


@given(parts, st.integers(1, 50))
def test_a_map_counts_every_byte_once(new: list[Run], most: int) -> None:
    length = sum(part.length * part.times for part in new)
    origins = OriginMap(length, most)
    found = planned([chunk(1), chunk(2)], new)
    for stretch in found:
        origins.add(stretch)
    for origin in ByteOrigin:
        assert origins.total(origin) == sum(s.length for s in found if origin_of(s) is origin)
    sizes = [sum(cell) for cell in origins.cells]
    assert len(sizes) <= most
    assert all(size == origins.cell_bytes for size in sizes[:-1])
    assert sum(sizes) == length


def test_a_huge_hole_is_one_step() -> None:
    origins = OriginMap(1000 * TIB, 10)
    origins.add(Stretch(0, 1000 * TIB, ZERO))
    assert [sum(cell) for cell in origins.cells] == [100 * TIB] * 10


def test_empty_content_has_no_cells() -> None:
    assert OriginMap(0, 10).cells == []
    assert planned([chunk(1)], []) == []


def test_a_chunk_with_two_lengths_is_refused() -> None:
    lie = [chunk(1), Run(chunk(1).id, 7, 1)]
    with pytest.raises(MalformedError):
        planned([], lie)
