"""Two collections at once, as when the lease of a host ran out that was suspended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from casync.bucket.keys import HEAD_KEY
from casync.bucket.lease import COLLECTOR_LEASE
from casync.bucket.storage import Tag
from casync.names.name import parse_ref
from casync.ops.upkeep.gc import collect
from casync.store.bucket.collection import BucketCollection
from tests.contract.store_contract import noise, put_manifest
from tests.contract.whole_store import Clock
from tests.support.memory_storage import MemoryStorage
from tests.unit.store.bucket.test_hosts import NOW, Hosts, sound, state


class Interrupted(MemoryStorage):
    """A storage whose writer is overtaken before its next swap of the head."""

    meanwhile: Callable[[], None] | None = None

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        meanwhile = self.meanwhile
        if key == HEAD_KEY and meanwhile is not None:
            self.meanwhile = None
            meanwhile()
        return super().swap(key, data, tag)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(tmp_path, Clock(), stack)


def test_no_segment_is_condemned_in_place_of_one_that_another_host_has_condemned(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However hosts number segments."""
    suspended = Interrupted(clock=hosts.clock)
    suspended.objects = hosts.storage.objects
    suspended._states = hosts.storage._states
    suspended._lock = hosts.storage._lock
    one, two = hosts.open(suspended), hosts.open()
    put_manifest(two, noise(5000, 1), "stays")
    put_manifest(two, noise(5000, 2), "goes")
    one.remove([parse_ref("goes")])

    def meanwhile() -> None:
        hosts.storage.delete([COLLECTOR_LEASE])
        collect(two, NOW)
        one._environment.refresh()  # as other threads and processes of the host do
        for number in range(3, 6):
            put_manifest(two, noise(5000, number), f"new/{number}")

    condemn = BucketCollection._condemn_empty

    def overtaken(self: BucketCollection) -> None:
        patch.undo()
        suspended.meanwhile = meanwhile
        condemn(self)

    with monkeypatch.context() as patch:
        patch.setattr(BucketCollection, "_condemn_empty", overtaken)
        collect(one, NOW)
    assert suspended.meanwhile is None
    for host in (one, two, hosts.open()):
        assert sound(host)
    assert state(one) == state(two) == state(hosts.open())
