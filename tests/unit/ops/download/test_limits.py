"""The limits of a job: bytes per second and per hour, shared by connections, kept over restarts."""

from __future__ import annotations

import time

import pytest

from casync.jobs.job import JobState
from casync.limits import MIB
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
    assert time.monotonic() - started >= 0.4
    assert row.tokens is not None
    assert row.tokens.tokens < 2 * MIB


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
