"""A swap that happens after its writer has looked in vain whether it has happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from casync.bucket.head import decode_head
from casync.bucket.keys import HEAD_KEY
from casync.bucket.storage import StoredObject, Tag
from casync.errors import UnreachableError
from casync.names.name import parse_name, parse_ref
from casync.store.bucket.store import BucketStore
from tests.contract.store_contract import put_manifest
from tests.support.memory_storage import MemoryStorage


class LateStorage(MemoryStorage):
    """One that answers the next swap with a failure, and does it when the head was read again."""

    def __init__(self) -> None:
        super().__init__()
        self.is_late = False
        self._waiting: Callable[[], object] | None = None

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        if self.is_late:
            self.is_late = False
            self._waiting = partial(super().swap, key, data, tag)
            raise UnreachableError("no answer")
        return super().swap(key, data, tag)

    def get(self, key: str) -> StoredObject | None:
        found = super().get(key)
        if key == HEAD_KEY and self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting()
        return found


@pytest.fixture
def storage() -> LateStorage:
    return LateStorage()


@pytest.fixture
def store(tmp_path: Path, storage: LateStorage) -> Iterator[BucketStore]:
    with BucketStore.open_bucket(storage, tmp_path / "host", create=True) as store:
        yield store


def test_a_session_that_was_opened_late_is_opened_once(
    store: BucketStore, storage: LateStorage
) -> None:
    storage.is_late = True
    ident = put_manifest(store, b"1", "disk")
    assert len(decode_head(storage.objects[HEAD_KEY].data).sessions) == 1
    assert store.resolve(parse_ref("disk")) == ident


def test_a_commit_that_was_done_late_is_done_once(store: BucketStore, storage: LateStorage) -> None:
    put_manifest(store, b"1", "disk")
    storage.is_late = True
    removal = store.remove([parse_ref("disk")])
    assert [record.name for record in removal.versions] == ["disk"]
    assert not list(store.names())
    storage.is_late = True
    put_manifest(store, b"2", "disk")
    assert len(store.history(parse_name("disk"))) == 1
    head = decode_head(storage.objects[HEAD_KEY].data)
    assert head.runs[-1].part == head.commit
