"""The order of in-place moves, on cases whose best order is known."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence

import pytest

from casync.errors import UsageError
from casync.planning.move_order import Copy, Drop, Move, Stash, Unstash, order_moves


def ordered(
    sources: Sequence[int], targets: Sequence[int], lengths: Sequence[int], stash: int = 0
) -> list[Move]:
    return list(order_moves(sources, targets, lengths, stash))


def permuted(order: Sequence[int], sizes: Sequence[int]) -> tuple[array[int], ...]:
    """Moves that write chunks of `sizes` in another order."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(end)
        end += size
    sources = array("Q", (offsets[i] for i in order))
    lengths = array("Q", (sizes[i] for i in order))
    targets, end = array("Q"), 0
    for length in lengths:
        targets.append(end)
        end += length
    return sources, targets, lengths


def sizes_of(count: int) -> list[int]:
    rng = random.Random(7)
    return [rng.randrange(1000, 9000) for _ in range(count)]


def peak_of(steps: Sequence[Move], lengths: Sequence[int]) -> int:
    held = peak = 0
    for step in steps:
        if isinstance(step, Stash):
            held += lengths[step.index]
            peak = max(peak, held)
        elif isinstance(step, Unstash):
            held -= lengths[step.index]
    assert held == 0
    return peak


def test_no_moves_need_no_steps() -> None:
    assert ordered([], [], []) == []


@pytest.mark.parametrize("shift", [1, 999, 5000, 123_456])
def test_a_shift_to_the_right_runs_from_the_end_without_a_stash(shift: int) -> None:
    sources, targets, lengths = permuted(range(200), sizes_of(200))
    moved = array("Q", (target + shift for target in targets))
    steps = ordered(sources, moved, lengths)
    assert sorted(step.index for step in steps) == list(range(200))
    assert all(isinstance(step, Copy) and step.source == sources[step.index] for step in steps)


@pytest.mark.parametrize("shift", [1, 999, 5000, 123_456])
def test_a_shift_to_the_left_runs_in_order_without_a_stash(shift: int) -> None:
    sources, targets, lengths = permuted(range(200), sizes_of(200))
    steps = ordered(array("Q", (source + shift for source in sources)), targets, lengths)
    assert [step.index for step in steps] == list(range(200))
    assert all(isinstance(step, Copy) for step in steps)


def test_two_chunks_that_swap_need_one_in_memory() -> None:
    assert ordered([100, 0], [0, 100], [100, 100], stash=100) == [
        Stash(0),
        Copy(1, 0),
        Unstash(0),
    ] or ordered([100, 0], [0, 100], [100, 100], stash=100) == [Stash(1), Copy(0, 100), Unstash(1)]


def test_without_room_one_chunk_of_a_swap_comes_from_elsewhere() -> None:
    steps = ordered([100, 0], [0, 100], [100, 100], stash=99)
    assert len(steps) == 2
    assert isinstance(steps[0], Drop)
    assert isinstance(steps[1], Copy)


def test_a_long_circle_needs_one_in_memory() -> None:
    count = 1000
    sources, targets, lengths = permuted([*range(1, count), 0], [512] * count)
    steps = ordered(sources, targets, lengths, stash=512)
    assert sum(isinstance(step, Stash) for step in steps) == 1
    assert not any(isinstance(step, Drop) for step in steps)


@pytest.mark.parametrize("first", [2500, 1666, 500, 4990])
def test_swapped_parts_lose_nothing_within_a_small_stash(first: int) -> None:
    count = 5000
    order = [*range(first, count), *range(first)]
    sources, targets, lengths = permuted(order, sizes_of(count))
    steps = ordered(sources, targets, lengths, stash=1 << 20)
    assert not any(isinstance(step, Drop) for step in steps)
    assert peak_of(steps, lengths) <= 1 << 20


def test_reversed_chunks_lose_nothing_within_a_small_stash() -> None:
    sources, targets, lengths = permuted(range(4999, -1, -1), sizes_of(5000))
    steps = ordered(sources, targets, lengths, stash=1 << 20)
    assert not any(isinstance(step, Drop) for step in steps)


def test_shuffled_chunks_never_exceed_the_stash() -> None:
    order = list(range(20_000))
    random.Random(3).shuffle(order)
    sources, targets, lengths = permuted(order, sizes_of(20_000))
    steps = ordered(sources, targets, lengths, stash=1 << 20)
    assert peak_of(steps, lengths) <= 1 << 20
    dropped = sum(isinstance(step, Drop) for step in steps)
    assert dropped < 8_000


def test_moves_that_only_wait_for_a_circle_are_not_stashed() -> None:
    # Everything shifts to the right by one, except two chunks at the end that swap.
    count = 300
    sources = [*(10 * i for i in range(count)), 10 * count + 10, 10 * count]
    targets = [*(10 * i + 10 for i in range(count)), 10 * count + 10, 10 * count + 20]
    sources[count], sources[count + 1] = 10 * count + 20, 10 * count + 10
    steps = ordered(sources, targets, [10] * (count + 2), stash=10)
    assert sum(isinstance(step, Stash) for step in steps) == 1
    assert not any(isinstance(step, Drop) for step in steps)


def test_bytes_wanted_often_are_read_once_from_their_old_place() -> None:
    steps = ordered([0, 0, 0], [50, 200, 300], [100, 100, 100])
    assert len(steps) == 3
    copies = [step for step in steps if isinstance(step, Copy)]
    assert copies[0].source == 0
    home = [50, 200, 300][copies[0].index]
    assert [step.source for step in copies[1:]] == [home, home]


def test_a_chunk_may_overlap_its_own_place() -> None:
    assert ordered([0], [7], [100]) == [Copy(0, 0)]
    assert ordered([7], [0], [100]) == [Copy(0, 7)]


@pytest.mark.parametrize(
    ("targets", "lengths"), [([0, 5], [10, 10]), ([10, 0], [5, 5]), ([0], [0])]
)
def test_targets_that_overlap_or_do_not_ascend_are_refused(
    targets: list[int], lengths: list[int]
) -> None:
    with pytest.raises(UsageError):
        ordered([0] * len(targets), targets, lengths)
