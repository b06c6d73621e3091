"""Law: zeros are cut at the maximum, for any chunk sizes. So holes need not be read."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from casync.limits import MAX_AVERAGE, MAX_CHUNK_SIZE, MIN_AVERAGE, MIN_CHUNK_SIZE
from casync.objects.chunker import ChunkerParams, Cutter
from tests.support import reference_chunker


def test_no_pattern_of_zeros_meets_the_smallest_mask() -> None:
    # The proof for all sizes: these are all patterns that a run of zeros ever has.
    _, smallest = reference_chunker.masks(MIN_AVERAGE)
    assert smallest == 2**7 - 1
    patterns = reference_chunker.patterns_of_a_run(0)
    assert len(patterns) <= 32
    assert all(pattern & smallest for pattern in patterns)


@st.composite
def sizes(draw: st.DrawFn) -> ChunkerParams:
    """Sizes in any allowed order, small ones more often."""
    average = draw(st.integers(MIN_AVERAGE, 2 ** draw(st.integers(8, 22))) | st.just(MAX_AVERAGE))
    minimum = draw(st.integers(MIN_CHUNK_SIZE, average))
    most = min(MAX_CHUNK_SIZE, max(4 * average, 1024))
    return ChunkerParams(minimum, average, draw(st.integers(max(average, 1024), most)))


@given(sizes(), st.integers(0, 3), st.integers(0, 2**24))
@example(ChunkerParams.from_average(MAX_AVERAGE), 1, 1)
def test_the_library_agrees(params: ChunkerParams, times: int, more: int) -> None:
    size = min(params.max_size * times + more % params.max_size, 2**25)
    cutter = Cutter(params)
    lengths = cutter.feed(bytes(size)).lengths + cutter.finish().lengths
    count, rest = divmod(size, params.max_size)
    assert lengths == [params.max_size] * count + [rest] * (rest > 0)
