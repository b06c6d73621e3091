"""The chunker: refused sizes and libraries, and the edges of a stream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from blake3 import blake3

from casync.errors import UnsupportedError, UsageError
from casync.limits import MAX_AVERAGE, MIN_AVERAGE, MIN_CHUNK_SIZE
from casync.objects import chunker
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams, Cutter, Pieces, Zeros

RANDOM = blake3(b"casync test of the chunker").digest(length=1_000_000)


def lengths(cutter: Cutter, *parts: bytes | int) -> list[int]:
    """Chunk lengths of a stream of bytes and of counts of zeros."""
    found = []
    for part in parts:
        for piece in [cutter.feed(part)] if isinstance(part, bytes) else cutter.feed_zeros(part):
            if isinstance(piece, Zeros):
                found += [piece.length] * piece.times
            else:
                found += piece.lengths
    return found + cutter.finish().lengths


@pytest.mark.parametrize(
    "sizes",
    [
        (MIN_CHUNK_SIZE - 1, 256, 1024),
        (64, MIN_AVERAGE - 1, 1024),
        (64, MAX_AVERAGE + 1, 2**24),
        (64, 256, 1023),
        (300, 256, 1024),
        (64, 2048, 1024),
        (64, 256, 2**24 + 1),
        (0, 0, 0),
        (-64, -256, -1024),
    ],
)
def test_sizes_out_of_bounds_or_order(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError):
        ChunkerParams(*sizes)


def test_another_algorithm_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="buzhash"):
        ChunkerParams(64, 256, 1024, "buzhash")


@pytest.mark.parametrize("average", [MIN_AVERAGE, 1000, 11_585, MAX_AVERAGE])
def test_the_usual_spread(average: int) -> None:
    params = ChunkerParams.from_average(average)
    assert (params.min_size, params.max_size) == (average // 4, average * 4)


def test_the_default_spread_is_four_sixteen_sixty_four() -> None:
    assert ChunkerParams(4096, 16384, 65536) == DEFAULT_PARAMS


@pytest.mark.parametrize("size", [0, 1, 4095, 4096])
def test_up_to_the_minimum_there_is_one_chunk(size: int) -> None:
    assert lengths(Cutter(DEFAULT_PARAMS), RANDOM[:size]) == ([size] if size else [])


@pytest.mark.parametrize("size", [4097, 65535, 65536, 65537, 65536 * 3 + 1])
def test_at_the_edges_nothing_is_lost(size: int) -> None:
    found = lengths(Cutter(DEFAULT_PARAMS), RANDOM[:size])
    assert sum(found) == size
    assert all(4096 < length <= 65536 for length in found[:-1])


def test_nothing_is_certain_before_the_maximum_is_here() -> None:
    cutter = Cutter(DEFAULT_PARAMS)
    assert cutter.feed(RANDOM[:65535]) == Pieces(RANDOM[:65535], [])
    buffer, found = cutter.feed(RANDOM[65535:65536])
    assert buffer == RANDOM[:65536]
    assert len(found) == 1
    assert cutter.finish().buffer == RANDOM[found[0] : 65536]


@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 10**6, 5 * 10**9, 2**62])
def test_zeros_are_cut_by_arithmetic(size: int) -> None:
    cutter = Cutter(DEFAULT_PARAMS)
    pieces = list(cutter.feed_zeros(size))
    assert pieces == ([Zeros(65536, size // 65536)] if size >= 65536 else [])
    assert cutter.finish().lengths == ([size % 65536] if size % 65536 else [])


def test_no_zeros_give_no_chunks() -> None:
    cutter = Cutter(DEFAULT_PARAMS)
    cutter.feed(b"x")
    assert list(cutter.feed_zeros(0)) == []
    assert cutter.finish() == Pieces(b"x", [1])


def test_zeros_join_the_open_chunk_and_the_next_bytes() -> None:
    for head, hole, tail in [(0, 70_000, 10), (3000, 70_000, 3000), (5000, 1, 500_000), (9, 9, 9)]:
        parts = (RANDOM[:head], hole, RANDOM[-tail:])
        whole = b"".join(part if isinstance(part, bytes) else bytes(part) for part in parts)
        assert lengths(Cutter(DEFAULT_PARAMS), *parts) == lengths(Cutter(DEFAULT_PARAMS), whole)


@pytest.mark.parametrize("fed", [0, 1, 65536, 200_000])
def test_the_last_bytes_are_cut_with_those_before_them(fed: int) -> None:
    data = RANDOM[:300_000]
    cutter = Cutter(DEFAULT_PARAMS)
    before = cutter.feed(memoryview(data)[:fed]).lengths
    assert before + cutter.finish(memoryview(data)[fed:]).lengths == lengths(cutter, data)


def test_a_finished_cutter_starts_over() -> None:
    cutter = Cutter(DEFAULT_PARAMS)
    first = lengths(cutter, RANDOM)
    assert cutter.finish().lengths == []
    assert lengths(cutter, RANDOM) == first


class Install(Protocol):
    def __call__(self, **files: str) -> None: ...


@pytest.fixture
def another_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package of files in place of fastcdc; without files, there is none."""

    def install(**files: str) -> None:
        package = tmp_path / "fastcdc"
        for name, text in files.items():
            package.mkdir(exist_ok=True)
            (package / f"{name}.py").write_text(text)
        for name in [name for name in sys.modules if name.partition(".")[0] == "fastcdc"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "path", [str(tmp_path)])

    chunker._library.cache_clear()
    yield install
    for name in ("fastcdc", "fastcdc.fastcdc_cy"):
        sys.modules.pop(name, None)
    chunker._library.cache_clear()


def test_a_missing_library_is_refused(another_library: Install) -> None:
    another_library()
    with pytest.raises(UnsupportedError, match="not installed"):
        Cutter(DEFAULT_PARAMS)


def test_a_library_in_pure_python_is_refused_before_it_can_print(
    another_library: Install, capfd: pytest.CaptureFixture[str]
) -> None:
    another_library(__init__="print('Running in pure python mode')", fastcdc_py="")
    with pytest.raises(UnsupportedError, match="no compiled part") as caught:
        Cutter(DEFAULT_PARAMS)
    assert "C compiler" in caught.value.next_step
    assert capfd.readouterr() == ("", "")


def test_a_library_that_does_not_load_is_refused(another_library: Install) -> None:
    another_library(__init__="", fastcdc_cy="raise ImportError('undefined symbol')")
    with pytest.raises(UnsupportedError, match="undefined symbol"):
        Cutter(DEFAULT_PARAMS)


def test_a_library_that_cuts_differently_is_refused(another_library: Install) -> None:
    another_library(
        __init__="",
        fastcdc_cy="""
class Chunk:
    length = 65536
def fastcdc_cy(data, min_size, avg_size, max_size):
    return [Chunk] * (len(data) // 65536)
""",
    )
    with pytest.raises(UnsupportedError, match="cuts differently from fastcdc-v1"):
        Cutter(DEFAULT_PARAMS)


def test_the_library_is_back_after_these_tests() -> None:
    assert sum(lengths(Cutter(DEFAULT_PARAMS), RANDOM)) == len(RANDOM)
