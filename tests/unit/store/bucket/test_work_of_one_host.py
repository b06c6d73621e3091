"""Collections and jobs of a store in a bucket: one host at a time does them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from casync.bucket.lease import COLLECTOR_LEASE, LeaseRecord, encode_lease, job_lease
from casync.errors import LockedError, LostRaceError, NotFoundError, UsageError
from casync.jobs.job import JobState
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch
from casync.store.bucket.store import BucketStore
from casync.store.jobs import JobUpdate
from tests.contract.whole_store import Clock
from tests.support.job_values import job_spec
from tests.support.memory_storage import MemoryStorage

NOW = CollectOptions(window=0)
Open = Callable[..., BucketStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(clock: Clock) -> MemoryStorage:
    return MemoryStorage(clock=clock)


@pytest.fixture
def host(tmp_path: Path, clock: Clock, storage: MemoryStorage) -> Iterator[Open]:
    """Opens the store on a host."""
    with ExitStack() as stack:

        def opened(name: str, key_folder: Path | None = None) -> BucketStore:
            store = BucketStore.open_bucket(
                storage, tmp_path / name, create=True, clock=clock, key_folder=key_folder
            )
            store._environment.looks_after = 0.0
            return stack.enter_context(store)

        yield opened


def left_behind(storage: MemoryStorage, key: str, clock: Clock) -> None:
    """The lease of a host that has just died."""
    now = int(clock())
    storage.put(key, encode_lease(LeaseRecord("ab" * 16, "gone, process 7", now, now, 1)))


def dies(claim: object, storage: MemoryStorage, key: str, clock: Clock) -> None:
    """Ends the process of a runner, whose lease nothing gives back."""
    claim.release()  # type: ignore[attr-defined]
    left_behind(storage, key, clock)


def test_one_host_collects_at_a_time_and_the_other_says_which(host: Open) -> None:
    one, two = host("one"), host("two")
    with one.collection(window=0):
        with pytest.raises(LockedError, match=r"another collection .* is running on .*, process"):
            collect(two, NOW)
        collect(two, CollectOptions(window=0, dry_run=True))
    collect(two, NOW)


def test_a_collector_that_died_is_replaced(
    host: Open, storage: MemoryStorage, clock: Clock
) -> None:
    one = host("one")
    left_behind(storage, COLLECTOR_LEASE, clock)
    with pytest.raises(LockedError, match="running on gone, process 7"):
        collect(one, NOW)
    clock.now += 2
    collect(one, NOW)
    assert storage.get(COLLECTOR_LEASE) is None


def test_a_job_has_one_runner_on_all_hosts(host: Open) -> None:
    one, two = host("one"), host("two")
    job = one.jobs.create(job_spec(), 1)
    with one.jobs.claim(job.id) as claim:
        with pytest.raises(LockedError):
            two.jobs.claim(job.id)
        assert one.jobs.is_running(job.id)
        assert two.jobs.is_running(job.id)
        with pytest.raises(UsageError, match="is running"):
            two.jobs.remove(job.id)
        assert two.jobs.request_stop(job.id).state is JobState.RUNNING
        assert claim.stop_requested()


def test_the_job_of_a_dead_host_is_taken_over_and_its_late_commits_are_refused(
    host: Open, storage: MemoryStorage, clock: Clock
) -> None:
    one, two = host("one"), host("two")
    job = one.jobs.create(job_spec(), 1)
    late = one.jobs.claim(job.id)
    dies(late, storage, job_lease(job.id), clock)
    assert two.jobs.is_running(job.id)
    with pytest.raises(LockedError):
        two.jobs.claim(job.id)
    clock.now += 2
    two.jobs._known.clear()
    assert not two.jobs.is_running(job.id)
    with two.jobs.claim(job.id) as claim:
        assert claim.row.epoch == late.row.epoch + 1
        assert late.stop_requested()
        with pytest.raises(LostRaceError):
            one.commit(Batch(job=JobUpdate(replace(late.row, state=JobState.ABORTED))))


def test_a_job_that_another_host_has_just_made_is_found(host: Open) -> None:
    one, two = host("one"), host("two")
    two._environment.looks_after = 3600.0
    job = one.jobs.create(job_spec(), 1)
    found = two.jobs.find(job.id)
    assert found is not None
    assert found.id == job.id


def test_secrets_of_a_job_open_on_hosts_with_the_same_key(host: Open, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    one, two, three = host("one", keys), host("two", keys), host("three")
    spec = job_spec(headers=(("authorization", "Bearer secret"),))
    job = one.jobs.create(spec, 1)
    with two.jobs.claim(job.id) as claim:
        assert claim.spec == spec
    with pytest.raises(NotFoundError, match="lacks its secrets"):
        three.jobs.claim(job.id)
