"""A head whose bytes and tag do not belong together undoes no commit of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.bucket.commit import with_session
from casync.bucket.head import BucketHead, decode_head, encode_head
from casync.bucket.keys import HEAD_KEY
from casync.bucket.storage import StoredObject, Tag, TagForm
from casync.errors import UnsupportedError
from casync.store.bucket.catch_up import HeadMovedError
from casync.store.bucket.head_view import HeadView
from casync.store.bucket.state_reader import StateReader
from casync.store.bucket.store import BucketStore
from tests.contract.store_contract import put_manifest
from tests.support.memory_storage import MemoryStorage

STORE = bytes(16)
HEADS = [BucketHead.new(STORE)]
HEADS += [with_session(HEADS[0], bytes([1]) * 16, 0)]
HEADS += [with_session(HEADS[1], bytes([2]) * 16, 0)]


class Overtaken(MemoryStorage):
    """A storage that reads the bytes of a head, and then the tag of the next one."""

    next: BucketHead | None = None

    def tag(self, key: str) -> Tag | None:
        return self.objects[key].tag

    def get(self, key: str) -> StoredObject | None:
        found = super().get(key)
        if self.next is not None and found is not None:
            self.put(HEAD_KEY, encode_head(self.next))
            self.next = None
            return StoredObject(found.data, self.objects[HEAD_KEY].tag)
        return found


def test_the_tag_of_a_later_head_is_no_condition_of_a_swap(tmp_path: Path) -> None:
    storage = Overtaken()
    view = HeadView(storage, StateReader(storage, STORE), tmp_path)
    storage.put(HEAD_KEY, encode_head(HEADS[0]))
    storage.next = HEADS[1]
    assert view.look() == HEADS[0]
    with pytest.raises(HeadMovedError):
        view.swap(HEADS[0], with_session(HEADS[0], bytes([9]) * 16, 0))
    assert decode_head(storage.objects[HEAD_KEY].data) == HEADS[1]
    assert view.look() == HEADS[1]
    view.swap(HEADS[1], HEADS[2])
    assert view.look() == HEADS[2]


def test_a_storage_that_takes_other_tags_than_the_probe_has_found_is_named(tmp_path: Path) -> None:
    """As when another server is behind the address: no writer is told that others are faster."""
    storage = MemoryStorage(accepts=TagForm.BARE)
    with pytest.raises(UnsupportedError, match="although nothing else has changed it") as refused:
        write(storage.using(TagForm.QUOTED), tmp_path)
    assert f"remove {tmp_path}:" in (refused.value.next_step or "")
    write(storage.using(TagForm.BARE), tmp_path)


def test_a_head_that_was_restored_under_a_writer_is_replaced(tmp_path: Path) -> None:
    """It has the same bytes with another tag."""
    storage = MemoryStorage()
    view = HeadView(storage, StateReader(storage, STORE), tmp_path)
    storage.put(HEAD_KEY, encode_head(HEADS[0]))
    for _ in range(3):
        view.look()
        storage.put(HEAD_KEY, encode_head(HEADS[0]))
        with pytest.raises(HeadMovedError):
            view.swap(HEADS[0], HEADS[1])
    view.look()
    view.look()
    view.swap(HEADS[0], HEADS[1])
    assert view.look() == HEADS[1]


def write(storage: MemoryStorage, tables: Path) -> None:
    with BucketStore.open_bucket(storage, tables, create=True) as store:
        put_manifest(store, b"1", "disk")
