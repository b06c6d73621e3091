"""Groups: each wanted chunk once, with the old chunks around its anchors as bases."""

from __future__ import annotations

import pytest

from casync.ids import ChunkId, chunk_id
from casync.limits import MAX_GROUP_BYTES, MIB
from casync.planning.chunk_index import ChunkIndex
from casync.planning.delta_groups import chunk_groups
from casync.planning.windows import Place, Window

SIZE = 16 * 1024


def ident(name: str | int) -> ChunkId:
    return chunk_id(str(name).encode())


def index_of(names: str) -> ChunkIndex:
    index = ChunkIndex()
    for number, name in enumerate(names):
        index.add(number * SIZE, ident(name), SIZE)
    return index


def window_of(names: str) -> Window:
    places = [Place(number * SIZE, ident(name), SIZE) for number, name in enumerate(names)]
    return Window(0, len(names) * SIZE, [], places)


def grouped(new: str, old: str, *, had: str = "") -> list[tuple[str, str]]:
    """Groups as (wanted, bases), in letters; `had` is new and not wanted."""
    names = {ident(name): name for name in new + old}
    index = index_of(old)
    wanted = {ident(name) for name in new if name not in old + had}
    return [
        (
            "".join(names[place.id] for place in group.wanted),
            "".join(names[index[number].id] for number in group.bases),
        )
        for group in chunk_groups(window_of(new), wanted, index)
    ]


def test_old_chunks_around_the_anchors_are_bases() -> None:
    # As long as the wanted chunks, and two chunks more on each side: half a largest chunk.
    assert grouped("abXYef", "abcdef") == [("XY", "abcdef")]
    assert grouped("aXz", "abcdefghijklmnopqrstuvwxyz") == [("X", "bcdwxy")]


def test_one_anchor_suffices_and_a_run_without_one_is_a_group() -> None:
    assert grouped("Xa", "qrsa") == [("X", "qrs")]
    assert grouped("aX", "aqrs") == [("X", "qrs")]
    assert grouped("XYZ", "abc") == [("XYZ", "")]


def test_each_run_is_a_group() -> None:
    found = grouped("aXbYcZ", "abc")
    assert [wanted for wanted, _ in found] == ["X", "Y", "Z"]


def test_a_chunk_wanted_twice_is_requested_once() -> None:
    assert [wanted for wanted, _ in grouped("aXYXbX", "ab")] == ["XY"]


def test_a_chunk_supplied_otherwise_is_not_an_anchor() -> None:
    assert grouped("aXPYb", "acdb", had="P") == [("XY", "acdb")]


def test_an_old_chunk_that_must_be_fetched_is_not_an_anchor() -> None:
    index = index_of("abc")
    wanted = {ident("b"), ident("X")}
    (group,) = chunk_groups(window_of("abXc"), wanted, index)
    assert [place.id for place in group.wanted] == [ident("b"), ident("X")]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1024])
@pytest.mark.parametrize("size", [1, SIZE, 65_536])
def test_groups_stay_below_their_bound(count: int, size: int) -> None:
    index = ChunkIndex()
    for number in range(3000):
        index.add(number * size, ident(number), size)
    new = [Place(at * size, ident(f"new {at}"), size) for at in range(count)]
    places = [Place(0, ident(0), size), *new, Place(0, ident(2999), size)]
    wanted = {place.id for place in new}
    groups = list(chunk_groups(Window(0, 1, [], places), wanted, index))
    assert [place for group in groups for place in group.wanted] == new
    for group in groups:
        assert len(group.wanted) <= 64
        plain = sum(place.length for place in group.wanted)
        assert plain + sum(index.length(number) for number in group.bases) <= MAX_GROUP_BYTES
        assert list(group.bases) == sorted(set(group.bases))


def test_a_long_run_walks_along_the_old_version() -> None:
    index = ChunkIndex()
    for number in range(1000):
        index.add(number * SIZE, ident(number), SIZE)
    new = [Place(at * SIZE, ident(f"new {at}"), SIZE) for at in range(200)]
    places = [Place(0, ident(0), SIZE), *new]
    groups = list(chunk_groups(Window(0, 1, [], places), {p.id for p in new}, index))
    assert [group.bases[0] for group in groups] == [1, 63, 127, 191]
    assert all(len(group.bases) <= 70 for group in groups)


def test_a_chunk_larger_than_a_group_is_requested_alone() -> None:
    place = Place(0, ident("large"), 16 * MIB)
    (group,) = chunk_groups(Window(0, 1, [], [place]), {place.id}, ChunkIndex())
    assert group.wanted == [place]
    assert not group.bases
