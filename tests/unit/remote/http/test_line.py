"""A link is fast or slow by the time that its reader waits for bytes."""

from __future__ import annotations

import pytest

from casync.limits import KIB, MIB
from casync.remote.http.connection import Line
from casync.remote.http.rate_limit import RateLimit


def line(limit: RateLimit | None = None) -> Line:
    return Line("peer", min_rate=1.0, window=1.0, limit=limit)


def take(line: Line, count: int, rate: float, *, streams: int = 1) -> None:
    """`count` bytes arrive at `rate` bytes a second on one of some streams."""
    piece = 64 * KIB
    for _ in range(count // piece):
        line.judge(piece, piece / rate, streams)


def test_a_link_is_slow_until_it_has_been_fast() -> None:
    fast = line()
    assert not fast.is_fast
    take(fast, 128 * KIB, 1e9)
    assert not fast.is_fast
    take(fast, 4 * MIB, 1e9)
    assert fast.is_fast


@pytest.mark.parametrize(
    ("rate", "fast"), [(1e5, False), (1.2e8, False), (2e8, True), (1e10, True)]
)
def test_the_rate_decides(rate: float, fast: bool) -> None:
    link = line()
    take(link, 8 * MIB, rate)
    assert link.is_fast is fast


@pytest.mark.parametrize(("rate", "fast"), [(3e7, False), (5e7, True)])
def test_streams_that_wait_together_share_the_rate(rate: float, fast: bool) -> None:
    link = line()
    take(link, 8 * MIB, rate, streams=4)
    assert link.is_fast is fast


def test_a_stream_knows_how_many_streams_wait() -> None:
    link = line()
    assert [link.begin_waiting(), link.begin_waiting()] == [1, 2]
    link.end_waiting()
    assert link.begin_waiting() == 2


def test_a_server_that_pauses_between_bursts_leaves_the_link_fast() -> None:
    link = line()
    for _ in range(20):
        link.judge(64 * KIB, 0.5, 1)  # two thirds of a second for each MiB: 1.5 MB/s on average
        take(link, 960 * KIB, 1e9)
    assert link.is_fast


def test_a_link_that_changes_is_judged_again() -> None:
    link = line()
    take(link, 64 * MIB, 1e9)
    take(link, 32 * MIB, 1e6)
    assert not link.is_fast
    take(link, 32 * MIB, 1e9)
    assert link.is_fast


def test_a_link_with_a_rate_limit_is_slow() -> None:
    link = line(RateLimit(10**9))
    take(link, 8 * MIB, 1e10)
    assert not link.is_fast
