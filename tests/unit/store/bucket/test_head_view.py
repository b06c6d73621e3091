"""A head whose bytes and tag do not belong together undoes no commit of others."""

from __future__ import annotations

import pytest

from casync.bucket.commit import with_session
from casync.bucket.head import BucketHead, decode_head, encode_head
from casync.bucket.keys import HEAD_KEY
from casync.bucket.storage import StoredObject, Tag
from casync.store.bucket.catch_up import HeadMovedError
from casync.store.bucket.head_view import HeadView
from casync.store.bucket.state_reader import StateReader
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


def test_the_tag_of_a_later_head_is_no_condition_of_a_swap() -> None:
    storage = Overtaken()
    view = HeadView(storage, StateReader(storage, STORE))
    storage.put(HEAD_KEY, encode_head(HEADS[0]))
    storage.next = HEADS[1]
    assert view.look() == HEADS[0]
    with pytest.raises(HeadMovedError):
        view.swap(HEADS[0], with_session(HEADS[0], bytes([9]) * 16, 0))
    assert decode_head(storage.objects[HEAD_KEY].data) == HEADS[1]
    assert view.look() == HEADS[1]
    view.swap(HEADS[1], HEADS[2])
    assert view.look() == HEADS[2]
