"""The probe tells storages that are safe for writers from those that are not."""

from __future__ import annotations

import pytest

from casync.bucket.storage import ObjectStorage, Tag, TagForm
from casync.errors import DeniedError, RemoteError, UnreachableError, UnsafeStorageError
from casync.store.bucket.probe import probe
from tests.support.faulty_storage import Fault, FaultyStorage, Schedule
from tests.support.memory_storage import MemoryStorage, RacyStorage


@pytest.mark.parametrize("form", list(TagForm))
def test_the_form_of_tags_that_works_is_found(form: TagForm) -> None:
    storage = MemoryStorage(accepts=form)
    assert probe(storage) is form
    assert not storage.objects


def refusal(storage: ObjectStorage) -> str:
    with pytest.raises(UnsafeStorageError) as raised:
        probe(storage)
    assert not list(storage.list())
    assert raised.value.next_step
    return raised.value.message


def test_racing_creates_are_seen() -> None:
    message = refusal(RacyStorage(creates=True, swaps=False))
    assert "races to create one object had" in message
    assert "replace" not in message


def test_racing_swaps_are_seen() -> None:
    message = refusal(RacyStorage(creates=False, swaps=True))
    assert "races to replace one object had" in message
    assert "create" not in message


class Overwriting(MemoryStorage):
    def create(self, key: str, data: bytes) -> bool:
        self.put(key, data)
        return True


class Forgetful(MemoryStorage):
    """Swaps whatever the state is."""

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        self.put(key, data)
        return self.objects[key].tag


class Quiet(Forgetful):
    """Says that it refused, but did what was asked."""

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        super().swap(key, data, tag)
        return None


class Refusing(MemoryStorage):
    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        return None


def test_conditions_that_are_ignored_are_seen() -> None:
    assert "If-None-Match replaced an existing object" in refusal(Overwriting())
    for storage in (Forgetful(), Quiet()):
        message = refusal(storage)
        assert "If-Match accepted the ETag of an older state" in message
        assert "If-Match wrote an object that did not exist" in message


def test_a_storage_that_refuses_all_tags_is_seen() -> None:
    assert "with and without quotes" in refusal(Refusing())


class Mangling(MemoryStorage):
    def create(self, key: str, data: bytes) -> bool:
        return super().create(key, data[:-1])


def test_other_bytes_than_were_written_are_an_error() -> None:
    with pytest.raises(RemoteError, match="other bytes"):
        probe(Mangling())


@pytest.mark.parametrize("seed", range(3))
def test_lost_answers_do_not_make_a_good_storage_bad(seed: int) -> None:
    schedule = Schedule(seed, {Fault.REFUSED: 0.5})
    assert probe(FaultyStorage(MemoryStorage(), schedule)) is TagForm.QUOTED
    assert schedule.happened[Fault.REFUSED] > 10


def test_a_storage_that_fails_is_not_judged() -> None:
    storage = MemoryStorage()
    with pytest.raises(UnreachableError):
        probe(FaultyStorage(storage, Schedule(1, {Fault.ERROR: 0.3})))


class Keeping(MemoryStorage):
    """One with an object lock."""

    def delete(self, keys: object) -> None:
        raise DeniedError("may not delete")


def test_a_storage_that_deletes_nothing_is_safe() -> None:
    assert probe(Keeping()) is TagForm.QUOTED
