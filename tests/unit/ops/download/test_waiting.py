"""Objects that wait for their next attempt: people see them, and why they wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

import pytest

from casync.errors import UnreachableError
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.job import JobState, WaitingObject
from casync.jobs.validators import Validators
from casync.limits import SHOWN_WAITING
from casync.ops.download.progress import JobView
from casync.remote.sources.base import Listed, ObjectAnswer, failed
from casync.store.memory import MemoryStore
from tests.support.downloading import download, options
from tests.support.memory_source import MemorySource

COUNT = 40


class Busy(MemorySource):
    """A source that answers nothing before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = threading.Event()

    def _check(self) -> None:
        if not self.ready.is_set():
            raise failed(UnreachableError("it answers 503"), ObjectFaultKind.HTTP, 503)

    def list_below(self, prefix: str) -> Iterator[Listed]:
        if prefix == "slow/":
            self._check()
        yield from super().list_below(prefix)

    def open(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        same: Validators | None = None,
        unless: Validators | None = None,
    ) -> ObjectAnswer | None:
        self._check()
        return super().open(key, start, end, same=same, unless=unless)


class Watcher:
    """A `JobProgress` that lets a source go when something waits."""

    def __init__(self, source: Busy, least: int) -> None:
        self.source = source
        self.least = least
        self.seen: tuple[WaitingObject, ...] = ()
        self.count = 0
        self.notes: list[str] = []
        self.last: JobView | None = None

    def show(self, view: JobView) -> None:
        self.last = view
        if view.row.waiting_count >= self.least and not self.source.ready.is_set():
            self.seen, self.count = view.row.waiting, view.row.waiting_count
            self.source.ready.set()

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_objects_that_wait_are_in_the_row_with_their_reason() -> None:
    """D8: the first of them, and how many there are."""
    source, store = Busy(), MemoryStore()
    for number in range(COUNT):
        source.put(f"{number:02}", b"x%d" % number)
    watcher = Watcher(source, SHOWN_WAITING + 1)
    how = options(attempts=10_000, random=lambda: 0.5)
    row = download(store, source, how=how, progress=watcher)
    assert (row.state, row.counts.finished) == (JobState.FINISHED, COUNT)
    assert len(watcher.seen) == SHOWN_WAITING < watcher.count
    assert [each.until for each in watcher.seen] == sorted(each.until for each in watcher.seen)
    reason = "request failed with 503 status code (Service Unavailable)"
    assert {each.reason for each in watcher.seen} == {reason}
    assert all(each.name.startswith("ds/") and each.attempts for each in watcher.seen)
    assert (row.waiting, row.waiting_count) == ((), 0)


def test_a_listing_that_waits_says_why() -> None:
    """D8."""
    source, store = Busy(), MemoryStore()
    source.put("slow/a", b"x")
    watcher = Watcher(source, 1)
    how = options(attempts=10_000, random=lambda: 0.5)
    row = download(store, source, prefix="slow/", how=how, progress=watcher)
    assert row.counts.finished == 1
    assert [(each.name, each.reason) for each in watcher.seen] == [("", "it answers 503")]
    assert watcher.notes[0].startswith("it answers 503; it is listed again in ")


class Deaf(MemorySource):
    """A source whose server never answers, after some answers that refuse."""

    def __init__(self, refusals: int = 0) -> None:
        super().__init__()
        self.lists = 0
        self.refusals = refusals

    def list_below(self, prefix: str) -> Iterator[Listed]:
        self.lists += 1
        error = failed(UnreachableError("nothing listens", refused=True), ObjectFaultKind.CONNECT)
        if self.lists <= self.refusals:
            error = failed(UnreachableError("it answers 503"), ObjectFaultKind.HTTP, 503)
        raise error


def list_in_vain(source: Deaf, attempts: int) -> None:
    seconds = count(0, 10)
    how = options(attempts=attempts, clock=lambda: float(next(seconds)))
    with pytest.raises(UnreachableError):
        download(MemoryStore(), source, how=how)


def test_a_listing_of_a_server_that_never_answered_is_given_up_soon() -> None:
    """Its address is probably wrong: it gets 30 s, as an object of such a host does."""
    source = Deaf()
    list_in_vain(source, attempts=1000)
    assert source.lists < 10


def test_a_listing_of_a_server_that_answered_before_has_all_its_attempts() -> None:
    source = Deaf(refusals=1)
    list_in_vain(source, attempts=20)
    assert source.lists == 20
