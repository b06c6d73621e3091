"""Hosts that do not answer: an outage is waited for, and costs no object its attempts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from casync.errors import CasyncError, UnreachableError
from casync.jobs.backoff import RetryPolicy
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.job import JobState
from casync.ops.download import hosts
from casync.ops.download.hosts import HostWatch
from casync.ops.download.progress import JobView
from casync.remote.sources.base import failed
from casync.store.memory import MemoryStore
from tests.support.downloading import contents, download, options, spec
from tests.support.memory_source import MemorySource

PATIENT = options(policy=RetryPolicy(3, base=0.3), random=lambda: 1.0)
"""Waits long enough between two attempts for others to fail meanwhile."""


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def broken() -> CasyncError:
    return failed(UnreachableError("the connection broke"), ObjectFaultKind.CONNECT)


def refused() -> CasyncError:
    return failed(UnreachableError("refused", refused=True), ObjectFaultKind.CONNECT)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> HostWatch:
    return HostWatch(clock, lambda text: None)


def test_failures_of_one_object_count(watch: HostWatch) -> None:
    watch.answered("a")
    assert [watch.failed("a", 7, broken(), opened=False) for _ in range(20)] == [None] * 20


def test_failures_of_several_objects_without_an_answer_are_an_outage(watch: HostWatch) -> None:
    watch.answered("a")
    found = [watch.failed("a", index, broken(), opened=False) for index in range(4)]
    assert found[:2] == [None, None]
    assert all(found[2:])
    watch.answered("a")
    assert watch.failed("a", 9, broken(), opened=False) is None


def test_errors_after_an_answer_are_no_outage(watch: HostWatch) -> None:
    error = failed(UnreachableError("short"), ObjectFaultKind.SHORT_BODY)
    assert [watch.failed("a", n, error, opened=True) for n in range(9)] == [None] * 9


def test_a_half_fetched_object_waits_for_a_server_that_restarts(
    watch: HostWatch, clock: Clock
) -> None:
    watch.answered("a")
    for _ in range(100):
        clock.time += 30
        assert watch.failed("a", 0, refused(), opened=True)
    clock.time += 3600
    with pytest.raises(UnreachableError, match="no answer for"):
        watch.failed("a", 0, refused(), opened=True)


def test_a_host_that_never_answered_is_given_up_soon(watch: HostWatch, clock: Clock) -> None:
    assert watch.failed("a", 0, refused(), opened=False)
    clock.time = 31.0
    with pytest.raises(UnreachableError):
        watch.failed("a", 1, refused(), opened=False)


def test_a_dead_host_beside_living_ones_fails_its_objects(watch: HostWatch, clock: Clock) -> None:
    assert watch.failed("dead", 0, refused(), opened=False)
    clock.time = 31.0
    watch.answered("alive")
    assert watch.failed("dead", 1, refused(), opened=False) is None


class Down(MemorySource):
    """A source that is down as long as a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.down: Callable[[int], bool] = lambda asked: False
        for number in range(20):
            self.put(f"{number:02}", b"%d" % number)
        self.before_read = self._look

    def _look(self, key: str, start: int) -> None:
        self.asked += 1
        if self.down(self.asked):
            raise broken()


class Noting:
    """Keeps the notes of a job."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def show(self, view: JobView) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_job_outlives_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """D10: objects keep their attempts while nothing answers."""
    monkeypatch.setattr(hosts, "_LONGEST_REST", 0.01)
    source, store, progress = Down(), MemoryStore(), Noting()
    source.down = lambda asked: 8 <= asked < 80
    row = download(store, source, spec(max_conns=1), how=PATIENT, progress=progress)
    assert (row.counts.finished, row.counts.failed) == (20, 0)
    assert len(contents(store)) == 20
    assert progress.notes == ["the connection broke; waiting for an answer"]


def test_a_job_whose_source_stays_silent_can_be_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    """D10, D12: it does not fail a million objects, one by one."""
    monkeypatch.setattr(hosts, "_LONGEST_REST", 0.01)
    monkeypatch.setattr(hosts, "_PATIENCE", 0.2)
    source, store = Down(), MemoryStore()
    source.down = lambda asked: asked >= 8
    with pytest.raises(UnreachableError, match="no answer"):
        download(store, source, spec(max_conns=1), how=PATIENT)
    (row,) = store.jobs.rows()
    assert row.state is JobState.RUNNING
    assert (row.failure_code, row.ended) == ("unreachable", 0)
    assert "no answer for" in row.failure
    assert (row.counts.finished, row.counts.failed) == (7, 0)
    source.down = lambda asked: False
    row = download(store, source)
    assert (row.counts.finished, row.failure) == (20, "")
