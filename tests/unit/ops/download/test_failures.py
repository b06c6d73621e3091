"""Objects that fail: which attempts follow, what is kept of them, and that the job goes on."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from casync.errors import CasyncError, DeniedError, NotFoundError, RemoteError, UnreachableError
from casync.ids import Kind
from casync.jobs.backoff import RetryPolicy
from casync.jobs.checksum import Checksum
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.item import Item
from casync.jobs.job import JobState
from casync.jobs.spec import SourceKind
from casync.jobs.validators import Validators
from casync.remote.sources.base import Listed, ObjectAnswer, failed
from casync.store.memory import MemoryStore
from tests.support.downloading import PARAMS, contents, download, options, spec
from tests.support.memory_source import MemorySource
from tests.support.preparing import noise

SIZE = 2_500_000
WRONG = Checksum("sha256", bytes(32))


class Flaky(MemorySource):
    """A source whose answers break as a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.refuse: Callable[[str, int], CasyncError | None] = lambda key, attempt: None
        self.breaks: Callable[[str, int], int | None] = lambda key, attempt: None
        self.ranges = True
        self.ended = threading.Event()

    def open(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        same: Validators | None = None,
        unless: Validators | None = None,
    ) -> ObjectAnswer | None:
        self.asked[key] += 1
        attempt = self.asked[key]
        if (error := self.refuse(key, attempt)) is not None:
            raise error
        if not self.ranges:
            start, same = 0, None
        answer = super().open(key, start, end, same=same, unless=unless)
        if answer is None:
            return None
        limit = self.breaks(key, attempt)
        blocks = self._broken(key, b"".join(answer.blocks()), answer.start, limit)
        return ObjectAnswer(
            answer.listed, answer.start, blocks, lambda: None, is_ranged=answer.is_ranged
        )

    def _broken(self, key: str, data: bytes, start: int, limit: int | None) -> Iterator[bytes]:
        for at in range(0, len(data), 100_000):
            if limit is not None and start + at >= limit:
                raise failed(UnreachableError("reset by the server"), ObjectFaultKind.CONNECT)
            block = data[at : at + 100_000]
            self.sent[key] += len(block)
            yield block

    def close(self) -> None:
        self.ended.set()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def source() -> Flaky:
    source = Flaky()
    source.put("large", noise(SIZE, 1))
    for number in range(20):
        source.put(f"small-{number:02}", noise(1000 + number, number))
    return source


def refusal(status: int) -> CasyncError:
    kinds = {401: DeniedError, 403: DeniedError, 404: NotFoundError, 500: UnreachableError}
    kinds |= {429: UnreachableError, 503: UnreachableError}
    error = kinds.get(status, RemoteError)(f"refused with {status}")
    return failed(error, ObjectFaultKind.HTTP, status)


@pytest.mark.parametrize(
    ("status", "attempts"),
    [(400, 1), (401, 1), (403, 1), (404, 1), (410, 1), (408, 5), (425, 5), (429, 5), (500, 5)],
)
def test_refusals_that_do_not_pass_are_not_repeated(
    store: MemoryStore, source: Flaky, status: int, attempts: int
) -> None:
    """D10: typed, persisted, with the number of attempts; the rest is fetched."""
    source.refuse = lambda key, attempt: refusal(status) if key == "small-07" else None
    row = download(store, source, how=options(attempts=5))
    assert row.state is JobState.FINISHED
    assert (row.counts.finished, row.counts.failed) == (20, 1)
    (fault,) = store.jobs.faults(row.id)
    assert (fault.name, fault.kind, fault.status) == ("ds/small-07", ObjectFaultKind.HTTP, status)
    assert fault.attempts == source.asked["small-07"] == attempts
    assert fault.message.startswith(f"request failed with {status} status code")
    assert "ds/small-07" not in contents(store)


def test_a_tenth_of_random_errors_fails_nothing(store: MemoryStore, source: Flaky) -> None:
    seeded = random.Random(5)
    source.refuse = lambda key, attempt: refusal(500) if seeded.random() < 0.1 else None
    row = download(store, source)
    assert (row.counts.finished, row.counts.failed) == (21, 0)


def test_a_body_that_breaks_off_goes_on_at_the_same_byte(store: MemoryStore, source: Flaky) -> None:
    """D12: attempts that make progress do not count, and nothing is fetched twice."""
    source.breaks = lambda key, attempt: attempt * 100_000 if key == "large" else None
    row = download(store, source, how=options(attempts=2))
    assert row.counts.failed == 0
    assert source.asked["large"] == 25
    assert source.sent["large"] == SIZE
    assert contents(store)["ds/large"] == noise(SIZE, 1)


def test_without_ranges_an_object_starts_over(store: MemoryStore, source: Flaky) -> None:
    source.ranges = False
    source.breaks = lambda key, attempt: 2_000_000 if attempt == 1 else None
    row = download(store, source)
    assert row.counts.failed == 0
    assert source.sent["large"] == SIZE + 2_000_000
    assert contents(store)["ds/large"] == noise(SIZE, 1)


def test_a_body_that_always_breaks_at_one_place_fails(store: MemoryStore, source: Flaky) -> None:
    source.breaks = lambda key, attempt: 1_000_000 if key == "large" else None
    row = download(store, source, how=options(attempts=4))
    (fault,) = store.jobs.faults(row.id)
    assert (fault.kind, fault.attempts) == (ObjectFaultKind.CONNECT, 4)
    assert (row.counts.finished, row.counts.failed) == (20, 1)
    assert store.jobs.parts(row.id, 0) is None


def test_an_object_that_changes_half_way_is_fetched_as_it_is_now(
    store: MemoryStore, source: Flaky
) -> None:
    def change(key: str, attempt: int) -> int | None:
        if key != "large" or attempt > 1:
            return None
        return 2_000_000

    source.breaks = change

    def before(key: str, start: int) -> None:
        if start:
            source.put("large", noise(SIZE, 2))

    source.before_read = before
    row = download(store, source)
    assert row.counts.failed == 0
    assert contents(store)["ds/large"] == noise(SIZE, 2)


def test_a_half_fetched_object_goes_on_at_its_last_cut_in_a_later_run(
    store: MemoryStore, source: Flaky
) -> None:
    """D12: the chunks up to the last cut are kept, and fetched only once."""
    stop_after(store, source, 2_000_000)
    (row,) = store.jobs.rows()
    half = store.jobs.parts(row.id, 0)
    assert half is not None
    assert 2_000_000 - PARAMS.max_size <= half.offset < 2_000_000
    source.sent.clear()
    row = download(store, source)
    assert source.sent["large"] == SIZE - half.offset
    assert contents(store)["ds/large"] == noise(SIZE, 1)
    assert store.jobs.parts(row.id, 0) is None


def test_parts_whose_chunks_are_gone_are_never_joined_with_new_ones(
    store: MemoryStore, source: Flaky
) -> None:
    """D12: collections may take the chunks of a job that is not running; then it starts over."""
    stop_after(store, source, 1_000_000)
    (row,) = store.jobs.rows()
    half = store.jobs.parts(row.id, 0)
    assert half is not None
    gone = [*half.chunks][3][0]
    del store._tables.objects[Kind.CHUNK, gone]
    stop_after(store, source, 900_000)
    half = store.jobs.parts(row.id, 0)
    assert half is not None
    assert half.offset < 900_000
    source.sent.clear()
    row = download(store, source)
    assert source.sent["large"] == SIZE - half.offset
    assert contents(store)["ds/large"] == noise(SIZE, 1)


def stop_after(store: MemoryStore, source: Flaky, size: int) -> None:
    """Runs a job that is stopped when some bytes of the large object have come."""
    source.asked.clear()
    source.ended.clear()

    def refuse(key: str, attempt: int) -> CasyncError | None:
        if key == "large" and attempt == 2:
            store.jobs.request_stop(next(store.jobs.rows()).id)
            source.ended.wait(30)
        return None

    source.breaks = lambda key, attempt: size if key == "large" else None
    source.refuse = refuse
    assert download(store, source).state is JobState.ABORTED
    source.breaks = lambda key, attempt: None
    source.refuse = lambda key, attempt: None


class Summed(Flaky):
    """A source that says checksums, some of them wrong in its answers."""

    wrong = 0

    def _listed(self, key: str) -> Listed:
        found = super()._listed(key)
        digest = hashlib.sha256(self._objects[key][0]).digest()
        if key == "large" and self.asked[key] and self.wrong:
            self.wrong -= 1
            digest = bytes(32)
        sums = (Checksum("sha256", digest),)
        return found._replace(validators=Validators(found.validators.etag, None, "", sums))


def test_checksums_of_the_source_are_verified(store: MemoryStore) -> None:
    source = Summed()
    source.put("large", noise(SIZE, 1))
    source.put("small", b"small")
    source.wrong = 10**6
    row = download(store, source, how=options(attempts=3))
    (fault,) = store.jobs.faults(row.id)
    assert (fault.kind, fault.attempts) == (ObjectFaultKind.CHECKSUM, 3)
    assert contents(store) == {"ds/small": b"small"}
    source.asked.clear()
    source.wrong = 2
    row = download(store, source, how=options(attempts=5))
    assert row.counts.failed == 0
    assert contents(store)["ds/large"] == noise(SIZE, 1)


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (Item("small", "ds/small", size=4), ObjectFaultKind.SHORT_BODY),
        (
            Item("small", "ds/small", validators=Validators(checksums=(WRONG,))),
            ObjectFaultKind.CHECKSUM,
        ),
    ],
)
def test_an_object_other_than_its_list_says_is_given_up_soon(
    store: MemoryStore, item: Item, kind: ObjectFaultKind
) -> None:
    source = Flaky()
    source.put("small", b"small")
    listed = spec(kind=SourceKind.LIST, list_digest=bytes(32))
    row = download(store, source, listed, given=[item])
    (fault,) = store.jobs.faults(row.id)
    assert (fault.kind, source.asked["small"]) == (kind, RetryPolicy().mismatches)


def test_a_checksum_is_verified_across_runs(store: MemoryStore) -> None:
    """D12: bytes of an earlier run are read from the store to be summed."""
    source = Summed()
    source.put("large", noise(SIZE, 1))
    stop_after(store, source, 2_000_000)
    source.sent.clear()
    row = download(store, source)
    assert row.counts.finished == 1
    assert source.sent["large"] < SIZE - 1_900_000
    assert contents(store)["ds/large"] == noise(SIZE, 1)


def test_waits_follow_what_the_server_asks_for(store: MemoryStore, source: Flaky) -> None:
    """A host that asks for a pause is not asked before it is over."""
    times: list[float] = []

    def refuse(key: str, attempt: int) -> CasyncError | None:
        times.append(time.monotonic())
        if len(times) == 1:
            error = UnreachableError("busy", retry_after=0.2)
            return failed(error, ObjectFaultKind.HTTP, 503)
        return None

    source.refuse = refuse
    row = download(store, source, spec(max_conns=1))
    assert row.counts.failed == 0
    assert times[1] - times[0] >= 0.2
