"""Leases in a bucket: one host does what one is enough for."""

from __future__ import annotations

from contextlib import closing

import pytest

from casync.bucket.lease import COLLECTOR_LEASE, LeaseRecord, decode_lease, encode_lease
from casync.bucket.storage import ObjectStorage
from casync.store.bucket.lease import HeldLease, find_lease, take_lease
from tests.contract.whole_store import Clock
from tests.support.faulty_storage import Fault, FaultyStorage, Schedule
from tests.support.memory_storage import MemoryStorage

KEY = COLLECTOR_LEASE


class World:
    """A bucket, a clock, and for how long silent leases were watched."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.storage = MemoryStorage(clock=self.clock)
        self.watched: list[float] = []

    def take(self, storage: ObjectStorage | None = None) -> HeldLease | LeaseRecord:
        return take_lease(storage or self.storage, KEY, clock=self.clock, sleep=self.sleep)

    def held(self, storage: ObjectStorage | None = None) -> HeldLease:
        lease = self.take(storage)
        assert isinstance(lease, HeldLease)
        return lease

    def sleep(self, seconds: float) -> None:
        self.watched.append(seconds)

    def leave_behind(self, heard: int) -> LeaseRecord:
        """The lease of a host that is dead."""
        lease = LeaseRecord("ab" * 16, "other, process 1", heard, heard, 30)
        self.storage.put(KEY, encode_lease(lease))
        return lease


@pytest.fixture
def world() -> World:
    return World()


def test_a_lease_has_one_holder_at_a_time(world: World) -> None:
    with closing(world.held()) as first:
        other = world.take()
        assert isinstance(other, LeaseRecord)
        assert find_lease(world.storage, KEY, world.clock()) == other
        assert not first.is_lost
    assert find_lease(world.storage, KEY, world.clock()) is None
    world.held().close()
    assert world.watched == []


def test_a_silent_lease_is_taken_over_after_it_was_watched(world: World) -> None:
    world.leave_behind(int(world.clock()) - 31)
    with closing(world.held()):
        assert world.watched == [20.0]


def test_a_holder_whose_clock_is_wrong_keeps_its_lease(world: World) -> None:
    lease = world.leave_behind(int(world.clock()) - 3600)

    def renewed(seconds: float) -> None:
        later = LeaseRecord(lease.holder, lease.who, lease.since, lease.heard + 10, 30)
        world.storage.put(KEY, encode_lease(later))
        world.clock.now = later.heard if len(world.watched) else world.clock.now
        world.watched.append(seconds)

    found = take_lease(world.storage, KEY, clock=world.clock, sleep=renewed)
    assert isinstance(found, LeaseRecord)
    assert found.holder == lease.holder
    assert len(world.watched) == 2


def test_a_damaged_lease_is_replaced(world: World) -> None:
    world.storage.put(KEY, b"nonsense")
    world.held().close()
    assert world.storage.get(KEY) is None


def test_a_renewal_keeps_a_lease_alive(world: World) -> None:
    with closing(world.held()) as lease:
        world.clock.now += 25
        lease.renew()
        world.clock.now += 25
        assert isinstance(world.take(), LeaseRecord)


def test_a_holder_that_was_silent_learns_who_has_the_lease_now(world: World) -> None:
    with closing(world.held()) as first:
        world.clock.now += 60
        with closing(world.held()):
            first.renew()
            assert first.is_lost
            first.close()
            assert world.storage.get(KEY) is not None


def test_a_lease_that_was_given_back_by_mistake_is_written_again(world: World) -> None:
    with closing(world.held()) as lease:
        world.storage.delete([KEY])
        lease.renew()
        assert not lease.is_lost
        assert isinstance(world.take(), LeaseRecord)


def test_answers_that_deny_what_happened_change_nothing(world: World) -> None:
    storage = FaultyStorage(world.storage, Schedule(1, {Fault.REFUSED: 1.0}))
    with closing(world.held(storage)) as lease:
        lease.renew()
        lease.renew()
        assert not lease.is_lost


def test_a_lease_is_what_the_format_says() -> None:
    lease = LeaseRecord("0f" * 16, "host, process 7", 1, 2, 30)
    rest = b'"who":"host, process 7","since":1,"heard":2,"seconds":30}'
    text = b'{"holder":"' + b"0f" * 16 + b'",' + rest
    assert encode_lease(lease) == text
    assert decode_lease(text) == lease
