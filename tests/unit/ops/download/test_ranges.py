"""Large objects in parallel ranges: in order, only of a server that can, and never mixed up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from casync.errors import UnreachableError
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.validators import Validators
from casync.ops.download import fetcher, ranges
from casync.ops.download.ledger import Active
from casync.ops.download.throttle import Throttle
from casync.remote.sources.base import ObjectAnswer, failed
from casync.store.memory import MemoryStore
from tests.support.downloading import contents, download, spec
from tests.support.memory_source import MemorySource
from tests.support.preparing import noise

SIZE = 1_000_000
RANGE = 50_000
DATA = noise(SIZE, 1)


class Slow(MemorySource):
    """A source whose whole answers wait after their first block until a range was read."""

    def __init__(self) -> None:
        super().__init__()
        self.ranges = True
        self.waits = True
        self.read = threading.Event()
        self.before_range: Callable[[int], None] = lambda start: None
        self.put("large", DATA)

    def open(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        same: Validators | None = None,
        unless: Validators | None = None,
    ) -> ObjectAnswer | None:
        if end is not None:
            self.before_range(start)
        if not self.ranges:
            start, end = 0, None
        answer = super().open(key, start, end, same=same, unless=unless)
        assert answer is not None
        data = b"".join(answer.blocks())
        blocks = self._range(data) if answer.is_ranged else self._whole(data)
        return ObjectAnswer(
            answer.listed, answer.start, blocks, lambda: None, is_ranged=answer.is_ranged
        )

    def _range(self, data: bytes) -> Iterator[bytes]:
        yield data
        self.read.set()

    def _whole(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), 30_000):
            if at and self.waits and self.ranges:
                self.read.wait(30)
            yield data[at : at + 30_000]


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "_RANGE_BYTES", RANGE)
    monkeypatch.setattr(fetcher, "SPLIT_BYTES", 2 * RANGE)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def source() -> Slow:
    return Slow()


def test_idle_threads_fetch_ranges_and_bytes_stay_in_order(
    store: MemoryStore, source: Slow
) -> None:
    row = download(store, source, spec(max_conns=4))
    assert contents(store) == {"ds/large": DATA}
    parts = [start for _, start, end in source.reads if end - start == RANGE]
    assert sorted(parts) == [*range(RANGE, SIZE, RANGE)]
    assert row.counts.fetched < SIZE + RANGE


def test_one_connection_reads_one_stream(store: MemoryStore, source: Slow) -> None:
    source.waits = False
    download(store, source, spec(max_conns=1))
    assert contents(store) == {"ds/large": DATA}
    assert len(source.reads) == 1


def test_a_server_without_ranges_is_read_as_one_stream(store: MemoryStore, source: Slow) -> None:
    source.ranges = False
    row = download(store, source, spec(max_conns=4))
    assert contents(store) == {"ds/large": DATA}
    assert row.counts.fetched == SIZE


def test_ranges_that_fail_are_read_again(store: MemoryStore, source: Slow) -> None:
    left = [5]

    def fail(start: int) -> None:
        if left[0]:
            left[0] -= 1
            raise failed(UnreachableError("reset"), ObjectFaultKind.CONNECT)

    source.before_range = fail
    row = download(store, source, spec(max_conns=4))
    assert (row.counts.failed, left) == (0, [0])
    assert contents(store) == {"ds/large": DATA}


def test_an_object_that_changes_between_ranges_is_of_one_version(
    store: MemoryStore, source: Slow
) -> None:
    other = noise(SIZE, 2)
    changed: list[int] = []

    def change(start: int) -> None:
        if start >= SIZE // 2 and not changed:
            changed.append(start)
            source.put("large", other)

    source.before_range = change
    row = download(store, source, spec(max_conns=4))
    assert row.counts.failed == 0
    assert changed
    assert contents(store) == {"ds/large": other}


def test_with_a_limit_ranges_come_in_pieces_of_a_moment(
    store: MemoryStore, source: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D8: as objects in one piece."""
    paid: list[int] = []
    monkeypatch.setattr(Throttle, "take", lambda _, count=0: paid.append(count))
    download(store, source, spec(max_conns=4, limit=40_000))
    assert source.read.is_set()
    assert max(paid) <= 10_000
    assert sum(paid) >= SIZE


def test_bytes_of_ranges_that_are_ahead_are_shown(
    store: MemoryStore, source: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D8: bytes of an object count when they come, also behind others that are missing."""
    shown: list[Active] = []
    seen: list[int] = []

    class Seen(Active):
        def __init__(self, name: str, size: int | None, started: float) -> None:
            super().__init__(name, size, started)
            shown.append(self)

    class Waited(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited = super().wait(timeout)
            seen.append(shown[-1].done)
            return waited

    monkeypatch.setattr(fetcher, "Active", Seen)
    source.read = Waited()
    download(store, source, spec(max_conns=4))
    assert seen[0] >= 30_000 + RANGE
    assert shown[-1].done == SIZE
