"""Law: moves in order, applied to real bytes, give the wanted bytes."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from casync.planning.move_order import Copy, Drop, Stash, Unstash, order_moves


class Case(NamedTuple):
    old: bytes
    sources: list[int]
    targets: list[int]
    lengths: list[int]
    stash: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Chunks of an old file, moved, repeated or omitted; some ranges overlap."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=24))
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    ranges = list(zip(starts, sizes, strict=True))
    total = sum(sizes)
    if draw(st.booleans()):
        extra = draw(st.lists(st.tuples(st.integers(0, total - 1), st.integers(1, 9)), max_size=6))
        ranges += [(start, min(size, total - start)) for start, size in extra]
    chosen = draw(
        st.one_of(st.permutations(ranges), st.lists(st.sampled_from(ranges), max_size=30))
    )
    targets, end = [], 0
    for _, size in chosen:
        end += draw(st.one_of(st.just(0), st.integers(0, 12)))
        targets.append(end)
        end += size
    return Case(
        old=bytes(i % 251 + 1 for i in range(total)),
        sources=[start for start, _ in chosen],
        targets=targets,
        lengths=[size for _, size in chosen],
        stash=draw(st.sampled_from([0, 1, 8, 20, 1000])),
    )


@given(cases())
@settings(max_examples=600)
def test_moves_never_read_stale_bytes(case: Case) -> None:
    end = case.targets[-1] + case.lengths[-1] if case.targets else 0
    file = bytearray(max(len(case.old), end))
    file[: len(case.old)] = case.old
    wanted = [
        case.old[start : start + size]
        for start, size in zip(case.sources, case.lengths, strict=True)
    ]
    stashed: dict[int, bytes] = {}
    settled: dict[int, bool] = {}

    def put(index: int, plain: bytes) -> None:
        assert plain == wanted[index]
        assert index not in settled
        settled[index] = True
        file[case.targets[index] : case.targets[index] + len(plain)] = plain

    for step in order_moves(case.sources, case.targets, case.lengths, case.stash):
        size = case.lengths[step.index]
        if isinstance(step, Copy):
            put(step.index, bytes(file[step.source : step.source + size]))
        elif isinstance(step, Stash):
            start = case.sources[step.index]
            stashed[step.index] = bytes(file[start : start + size])
            assert sum(map(len, stashed.values())) <= case.stash
        elif isinstance(step, Unstash):
            put(step.index, stashed.pop(step.index))
        else:
            assert isinstance(step, Drop)
            assert step.index not in settled
            settled[step.index] = False

    assert not stashed
    assert sorted(settled) == list(range(len(case.sources)))
    for index, placed in settled.items():
        if placed:
            start = case.targets[index]
            assert file[start : start + case.lengths[index]] == wanted[index]
    if case.stash >= 1000:
        assert all(settled.values())
