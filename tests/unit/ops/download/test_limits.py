"""The limits of a job: bytes per second and per hour, shared by connections, kept over restarts."""

from __future__ import annotations

import time
from itertools import accumulate

import pytest

from casync.jobs.job import JobState
from casync.limits import MIB
from casync.ops.download import fetcher
from casync.ops.download.ledger import Active
from casync.ops.download.throttle import Throttle
from casync.store.memory import MemoryStore
from tests.support.downloading import contents, download, spec
from tests.support.memory_source import MemorySource
from tests.support.preparing import noise


@pytest.fixture
def source() -> MemorySource:
    source = MemorySource()
    for number in range(9):
        source.put(f"{number}", noise(MIB, number))
    return source


def test_all_connections_share_one_limit(source: MemorySource) -> None:
    """D5: after a burst of 8 MiB, the ninth waits at 2 MiB/s."""
    started = time.monotonic()
    row = download(MemoryStore(), source, spec(max_conns=8, limit=2 * MIB))
    assert row.counts.finished == 9
    elapsed = time.monotonic() - started
    assert elapsed >= 0.4
    assert row.tokens is not None
    assert row.tokens.tokens <= 2 * MIB * elapsed - MIB


def test_a_stop_ends_a_wait_of_hours_at_once_and_the_debt_stays(source: MemorySource) -> None:
    """D5, D9, D12: `--limit-bph`; a restart grants no fresh burst."""
    store = MemoryStore()
    asked: list[str] = []

    def stop(key: str, start: int) -> None:
        asked.append(key)
        if len(asked) == 1:
            store.jobs.request_stop(next(store.jobs.rows()).id)

    source.before_read = stop
    what = spec(max_conns=2, limit_bph=36_000)  # 10 bytes a second, a burst of 600
    row = download(store, source, what)
    assert row.state is JobState.ABORTED
    assert row.tokens is not None
    assert row.tokens.tokens < 0
    assert len(contents(store)) == 0
    source.before_read = lambda key, start: None
    row = download(store, source, spec(max_conns=2))
    assert row.counts.finished == 9
    assert row.tokens is None


@pytest.mark.parametrize("size", [200_000, 1_500_000])
def test_what_is_shown_moves_with_the_bytes(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """D8: with a limit, a piece is read at once that takes a moment, and seen before it is paid."""
    shown: list[Active] = []
    paid: list[tuple[int, int]] = []

    class Seen(Active):
        def __init__(self, name: str, size: int | None, started: float) -> None:
            super().__init__(name, size, started)
            shown.append(self)

    monkeypatch.setattr(fetcher, "Active", Seen)

    def take(_: Throttle, count: int = 0) -> None:
        if count:
            paid.append((count, shown[-1].done))

    monkeypatch.setattr(Throttle, "take", take)
    source = MemorySource()
    source.put("large", noise(size, 1))
    assert download(MemoryStore(), source, spec(limit=40_000)).counts.finished == 1
    counts = [count for count, _ in paid]
    assert max(counts) <= 10_000
    assert [done for _, done in paid] == [*accumulate(counts)]
    assert (sum(counts), shown[-1].size) == (size, size)
