"""Origins against brute force: the bytes of one content are searched in the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.errors import MalformedError
from casync.ids import ChunkId, NodeId, chunk_id, zero_chunk_id
from casync.limits import TIB
from casync.objects.chunker import ChunkerParams
from casync.objects.node import Content, Node, NodeBuilder, Run, decode_node, runs
from casync.planning.origins import Origin, OriginMap, Stretch, trace
from casync.planning.windows import windows

PARAMS = ChunkerParams(256, 1024, 4096)
ZERO = Run(zero_chunk_id(PARAMS.max_size), PARAMS.max_size, 1)


def chunk(number: int, times: int = 1) -> Run:
    return Run(chunk_id(bytes([number])), 100 + number, times)


def build(parts: list[Run]) -> tuple[Content, Callable[[NodeId, int, int], Node]]:
    nodes: dict[bytes, bytes] = {}
    builder = NodeBuilder(nodes.__setitem__)
    for part in parts:
        builder.add(part)
    return builder.finish(), lambda ident, level, length: decode_node(nodes[ident], level, length)


def traced(old: list[Run], new: list[Run]) -> list[Stretch]:
    content, fetch = build(new)
    ids = {part.id for part in old}
    found = trace(
        windows(content, fetch, PARAMS.max_size), runs(*build(old)), lambda ident: ident in ids
    )
    return sorted(found)


def places(parts: list[Run]) -> Iterator[tuple[int, ChunkId, int]]:
    offset = 0
    for part in parts:
        for _ in range(part.times):
            yield offset, ChunkId(part.id), part.length
            offset += part.length


def expected(old: list[Run], new: list[Run]) -> list[tuple[int, Origin]]:
    """The origin of every chunk, by searching everything each time."""
    before = list(places(old))
    seen: set[ChunkId] = set()
    origins = []
    for place in places(new):
        offset, ident, _ = place
        if ident == ZERO.id:
            origin = Origin.ZERO
        elif place in before:
            origin = Origin.SAME
        elif ident in {other for _, other, _ in before}:
            origin = Origin.MOVED
        else:
            origin = Origin.REPEAT if ident in seen else Origin.TRAVEL
        seen.add(ident)
        origins.append((offset, origin))
    return origins


parts = st.lists(
    st.one_of(
        st.just(Run(ZERO.id, ZERO.length, 3)),
        st.builds(chunk, st.integers(0, 6), st.integers(1, 3)),
    ),
    max_size=30,
)


@given(parts, parts)
def test_every_chunk_has_the_origin_that_brute_force_finds(old: list[Run], new: list[Run]) -> None:
    found = traced(old, new)
    position = 0
    for stretch in found:
        assert stretch.offset == position
        position += stretch.length
    assert position == sum(part.length * part.times for part in new)
    for offset, origin in expected(old, new):
        covering = [s for s in found if s.offset <= offset < s.offset + s.length]
        assert [stretch.origin for stretch in covering] == [origin]


@given(parts, st.integers(1, 50))
def test_a_map_counts_every_byte_once(new: list[Run], most: int) -> None:
    length = sum(part.length * part.times for part in new)
    origins = OriginMap(length, most)
    found = traced([chunk(1), chunk(2)], new)
    for stretch in found:
        origins.add(stretch)
    for origin in Origin:
        assert origins.total(origin) == sum(s.length for s in found if s.origin is origin)
    sizes = [sum(cell) for cell in origins.cells]
    assert len(sizes) <= most
    assert all(size == origins.cell_bytes for size in sizes[:-1])
    assert sum(sizes) == length


def test_a_huge_hole_is_one_step() -> None:
    origins = OriginMap(1000 * TIB, 10)
    origins.add(Stretch(0, 1000 * TIB, Origin.ZERO))
    assert [sum(cell) for cell in origins.cells] == [100 * TIB] * 10


def test_empty_content_has_no_cells() -> None:
    assert OriginMap(0, 10).cells == []
    assert traced([chunk(1)], []) == []


def test_a_chunk_with_two_lengths_is_refused() -> None:
    lie = [chunk(1), Run(chunk(1).id, 7, 1)]
    with pytest.raises(MalformedError):
        traced([], lie)
