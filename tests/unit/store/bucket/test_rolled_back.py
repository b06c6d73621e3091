"""A bucket that was rolled back is refused by hosts that have seen more of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from casync.bucket.head import encode_head
from casync.bucket.keys import HEAD_KEY
from casync.errors import DamagedStoreError
from casync.limits import RUNS_OF_A_LEVEL
from tests.contract.store_contract import put_manifest
from tests.contract.whole_store import Clock
from tests.unit.store.bucket.test_hosts import Hosts, state


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(tmp_path, Clock(), stack)


def test_a_bucket_that_was_rolled_back_is_noticed(hosts: Hosts) -> None:
    one = hosts.open()
    put_manifest(one, b"1", "disk")
    earlier = hosts.head
    put_manifest(one, b"2", "disk")
    hosts.storage.put(HEAD_KEY, encode_head(earlier))
    with pytest.raises(DamagedStoreError, match="rolled back"):
        put_manifest(one, b"3", "disk")


@pytest.mark.parametrize("commits", [1, 3, 2 * RUNS_OF_A_LEVEL + 3])
@pytest.mark.parametrize("merged", [0, RUNS_OF_A_LEVEL - 3])
def test_a_bucket_that_was_rolled_back_and_written_since_is_noticed(
    hosts: Hosts, commits: int, merged: int
) -> None:
    """However many commits came since, and whichever runs were merged."""
    one, late = hosts.open(), hosts.open()
    for number in range(merged):
        put_manifest(one, b"before %d" % number, "disk")
    put_manifest(late, b"1", "disk")
    earlier = hosts.head
    put_manifest(one, b"2", "disk")
    late._environment.refresh()
    hosts.storage.put(HEAD_KEY, encode_head(earlier))
    fresh = hosts.open()
    for number in range(commits):
        put_manifest(fresh, b"other %d" % number, "disk")
    for store in (one, late):
        for _ in range(2):
            with pytest.raises(DamagedStoreError, match="rolled back"):
                store._environment.refresh()
        with pytest.raises(DamagedStoreError, match="rolled back"):
            put_manifest(store, b"3", "disk")
    assert state(fresh) == state(hosts.open())
