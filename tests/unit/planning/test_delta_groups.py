"""Groups: each wanted chunk once, with the old bytes around its anchors as bases."""

from __future__ import annotations

import pytest

from casync.ids import ChunkId, chunk_id
from casync.limits import KIB, MAX_GROUP_BYTES, MIB
from casync.planning.delta_groups import Anchor, MissingRun, chunk_groups
from casync.planning.windows import Place

SIZE = 16 * 1024
SEED = 3


def ident(name: str | int) -> ChunkId:
    return chunk_id(str(name).encode())


def runs_of(new: str, old: str) -> list[MissingRun]:
    """The runs of chunks that `old` lacks."""
    runs: list[MissingRun] = []
    at = 0
    while at < len(new):
        end = at
        while end < len(new) and new[end] not in old:
            end += 1
        if end > at:
            places = [Place(i * SIZE, ident(new[i]), SIZE) for i in range(at, end)]
            left = right = None
            if at:
                left = Anchor(SEED, (old.index(new[at - 1]) + 1) * SIZE, at * SIZE)
            if end < len(new):
                right = Anchor(SEED, old.index(new[end]) * SIZE, end * SIZE)
            runs.append(MissingRun(places, left, right))
        at = end + 1
    return runs


def grouped(new: str, old: str, *, had: str = "") -> list[tuple[str, str]]:
    """Groups as (wanted, bases), in letters; `had` is new and not wanted."""
    names = {ident(name): name for name in new}
    wanted = {ident(name) for name in new if name not in old + had}
    found = []
    for group in chunk_groups(runs_of(new, old), wanted):
        bases = ""
        for seed, start, end in group.bases:
            assert seed == SEED
            assert start % SIZE == end % SIZE == 0
            assert 0 <= start < end
            bases += old[start // SIZE : end // SIZE]
        found.append(("".join(names[place.id] for place in group.wanted), bases))
    return found


def test_old_bytes_around_the_anchors_are_bases() -> None:
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


def test_a_chunk_supplied_otherwise_divides_no_group() -> None:
    assert grouped("aXPYb", "acdb", had="P") == [("XY", "acdb")]


def test_anchors_in_two_seeds_give_a_range_of_each() -> None:
    place = Place(SIZE, ident("X"), SIZE)
    run = MissingRun([place], Anchor(5, 10 * SIZE, SIZE), Anchor(4, 7 * SIZE, 2 * SIZE))
    (group,) = chunk_groups([run], {place.id})
    assert group.bases == [(4, 4 * SIZE, 7 * SIZE), (5, 10 * SIZE, 13 * SIZE)]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1024])
@pytest.mark.parametrize("size", [1, SIZE, 65_536])
def test_groups_stay_below_their_bound(count: int, size: int) -> None:
    new = [Place((1 + at) * size, ident(f"new {at}"), size) for at in range(count)]
    left = Anchor(SEED, size, size)
    right = Anchor(SEED, 2999 * size, (1 + count) * size)
    wanted = {place.id for place in new}
    groups = list(chunk_groups([MissingRun(new, left, right)], wanted))
    assert [place for group in groups for place in group.wanted] == new
    for group in groups:
        assert len(group.wanted) <= 64
        plain = sum(place.length for place in group.wanted)
        # A base is a whole chunk: a range may begin and end inside of one.
        bases = sum(end - start + 2 * (size - 1) for _, start, end in group.bases)
        assert plain + bases <= MAX_GROUP_BYTES
        assert all(start < end for _, start, end in group.bases)
        for (seed, _, end), (other, start, _) in zip(group.bases, group.bases[1:], strict=False):
            assert (seed, end) < (other, start)


def test_a_long_run_walks_along_the_old_version() -> None:
    new = [Place((1 + at) * SIZE, ident(f"new {at}"), SIZE) for at in range(200)]
    run = MissingRun(new, Anchor(SEED, SIZE, SIZE), None)
    groups = list(chunk_groups([run], {place.id for place in new}))
    starts = [start // SIZE for group in groups for _, start, _ in group.bases]
    assert starts == [1, 63, 127, 191]
    for group in groups:
        ((_, start, end),) = group.bases
        assert end - start <= 64 * SIZE + 64 * KIB


def test_a_chunk_larger_than_a_group_is_requested_alone() -> None:
    place = Place(0, ident("large"), 16 * MIB)
    (group,) = chunk_groups([MissingRun([place], None, None)], {place.id})
    assert group.wanted == [place]
    assert not group.bases
