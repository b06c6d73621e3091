"""Processes of one host share the tables of a store in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from casync.bucket.head import BucketHead, decode_head, encode_head
from casync.bucket.keys import HEAD_KEY
from casync.errors import DamagedStoreError
from casync.names.name import parse_ref
from casync.store.bucket.store import BucketStore
from casync.store.bucket.tables import Standing
from tests.contract.store_contract import put_manifest
from tests.support.memory_storage import MemoryStorage


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def stores(tmp_path: Path, storage: MemoryStorage) -> Iterator[list[BucketStore]]:
    """The store on two hosts."""
    with ExitStack() as stack:
        opened = []
        for host in ("one", "two"):
            store = BucketStore.open_bucket(storage, tmp_path / host, create=True)
            store._environment.looks_after = 0.0
            opened.append(stack.enter_context(store))
        yield opened


def head_of(storage: MemoryStorage) -> BucketHead:
    stored = storage.get(HEAD_KEY)
    assert stored is not None
    return decode_head(stored.data)


def test_tables_that_another_process_has_brought_to_the_head_are_no_rollback(
    stores: list[BucketStore], storage: MemoryStorage
) -> None:
    one, two = stores
    put_manifest(one, b"1", "disk")
    later = put_manifest(one, b"2", "disk")
    environment, head = two._environment, head_of(storage)
    environment._catch_up.bring(head, environment._standing())
    assert two.resolve(parse_ref("disk")) == later
    assert environment._standing() == Standing(head, head.version)


def test_another_head_of_the_same_version_is_a_rollback(
    stores: list[BucketStore], storage: MemoryStorage
) -> None:
    one, two = stores
    put_manifest(one, b"1", "disk")
    two._environment.refresh()
    head = head_of(storage)
    storage.put(HEAD_KEY, encode_head(replace(head, generation=head.generation + 1)))
    with pytest.raises(DamagedStoreError, match="rolled back"):
        two._environment.refresh()
    storage.put(HEAD_KEY, encode_head(head))
