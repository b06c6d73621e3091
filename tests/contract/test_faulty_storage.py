"""The storage that fails by a schedule does what each fault says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from casync.bucket.storage import ObjectStorage, Tag
from casync.errors import UnreachableError
from tests.support.faulty_storage import EVERY_FAULT, Fault, FaultyStorage, Schedule
from tests.support.memory_storage import MemoryStorage

WRITES: dict[str, Callable[[ObjectStorage], object]] = {
    "put": lambda storage: storage.put("new", b"1"),
    "create": lambda storage: storage.create("new", b"1"),
    "swap": lambda storage: storage.swap("old", b"1", Tag("1")),
    "delete": lambda storage: storage.delete(["old"]),
}


def failing(*faults: Fault) -> tuple[MemoryStorage, FaultyStorage]:
    """A storage with an object, and one around it in which these faults always happen."""
    memory = MemoryStorage()
    memory.put("old", b"0123")
    return memory, FaultyStorage(memory, Schedule(1, dict.fromkeys(faults, 1.0)))


@pytest.mark.parametrize("write", WRITES)
def test_what_a_lost_answer_is_about_has_happened(write: str) -> None:
    memory, faulty = failing(Fault.LOST)
    before = dict(memory.objects)
    with pytest.raises(UnreachableError):
        WRITES[write](faulty)
    assert write == "delete" or memory.objects != before


@pytest.mark.parametrize("write", ["create", "swap"])
def test_a_refused_condition_may_have_held(write: str) -> None:
    memory, faulty = failing(Fault.REFUSED)
    before = dict(memory.objects)
    assert not WRITES[write](faulty)
    assert memory.objects != before


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.CONFLICT, Fault.BUSY])
@pytest.mark.parametrize("write", ["create", "swap"])
def test_nothing_happens_in_a_failed_call(write: str, fault: Fault) -> None:
    memory, faulty = failing(fault)
    before = dict(memory.objects)
    with pytest.raises(UnreachableError) as raised:
        WRITES[write](faulty)
    assert memory.objects == before
    assert (raised.value.retry_after > 0) == (fault is Fault.BUSY)


def test_bodies_are_short_exchanged_or_missing() -> None:
    _, faulty = failing(Fault.SHORT)
    found = faulty.get("old")
    assert found is not None
    assert b"0123".startswith(found.data)
    assert len(found.data) < 4
    _, faulty = failing(Fault.SWAPPED)
    assert faulty.get_ranges("old", [(0, 1), (2, 4)]) == [b"23", b"0"]
    _, faulty = failing(Fault.MISSING)
    assert faulty.get("old") is None
    assert faulty.get_ranges("old", [(0, 1)]) is None


def test_listings_are_those_of_an_earlier_time() -> None:
    memory, faulty = failing(Fault.STALE)
    assert [one.key for one in faulty.list()] == ["old"]
    memory.put("new", b"1")
    memory.delete(["old"])
    assert [one.key for one in faulty.list()] == ["old"]


def test_slow_answers_are_right() -> None:
    paused: list[None] = []
    memory = MemoryStorage()
    schedule = Schedule(1, {Fault.SLOW: 1.0})
    faulty = FaultyStorage(memory, schedule, lambda: paused.append(None))
    faulty.put("a", b"1")
    found = faulty.get("a")
    assert found is not None
    assert found.data == b"1"
    assert len(paused) == 2


def test_a_seed_decides_every_fault() -> None:
    def run(seed: int) -> list[str]:
        memory = MemoryStorage()
        schedule = Schedule(seed)
        faulty = FaultyStorage(memory, schedule)
        seen: list[str] = []
        for number in range(400):
            try:
                faulty.create(f"{number % 50}", b"%d" % number)
                seen.append(str(faulty.get_ranges(f"{number % 50}", [(0, 1), (1, 2)])))
                faulty.delete([f"{number % 7}"])
                seen.append(str([one.key for one in faulty.list()]))
            except UnreachableError as error:
                seen.append(error.message)
        assert set(schedule.happened) == set(EVERY_FAULT)
        return seen

    assert run(3) == run(3)
    assert run(3) != run(4)
