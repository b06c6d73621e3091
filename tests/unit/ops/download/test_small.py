"""Small objects: published together, as `prepare` would make them, and none lost or made twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from casync.errors import NoSpaceError, StoppedError
from casync.ids import Kind, ObjectId
from casync.jobs.validators import Validators
from casync.names.name import parse_name
from casync.ops.download.ledger import Ledger
from casync.ops.download.run import start_or_continue
from casync.ops.download.small import SMALL_BYTES, SmallObject, SmallObjects
from casync.ops.download.writing import SharedWriter
from casync.store.base import Batch, Committed
from casync.store.memory import MemoryStore
from tests.support.downloading import PARAMS, contents, download, spec
from tests.support.memory_source import MemorySource
from tests.support.preparing import hash_of, noise


class Watched(MemoryStore):
    """Look-ups of chunks can be held up; commits can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()
        self.fails = False

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        self.asked.release()
        self.free.wait()
        return super().known(kind, ids)

    def commit(self, batch: Batch) -> Committed:
        if self.fails:
            raise NoSpaceError("no space on /store")
        return super().commit(batch)


def found(index: int, data: bytes) -> SmallObject:
    return SmallObject(index, parse_name(f"n/{index}"), "place", f"{index}", Validators(), data)


@contextmanager
def publishing(store: Watched, settled: list[int]) -> Iterator[SmallObjects]:
    with start_or_continue(store, spec(), time.time()) as claim:
        ledger = Ledger(claim.row, time.time, lambda: None)
        ledger.list(1000)
        with (
            SharedWriter(store, ledger.seal) as writer,
            SmallObjects(writer, ledger, PARAMS, settled.append) as small,
        ):
            yield small
            small.__exit__()
            writer.finish()


def test_what_comes_while_others_are_published_is_published_together() -> None:
    store, settled = Watched(), [0]
    store.free.clear()
    with publishing(store, settled) as small:
        small.put(found(0, noise(3000, 0)))
        store.asked.acquire()
        for index in range(1, 20):
            small.put(found(index, noise(3000, index)))
        store.free.set()
    assert settled == [0, 1, 19]
    assert contents(store) == {f"n/{index}": noise(3000, index) for index in range(20)}


@pytest.mark.parametrize("data", [b"", b"x", noise(5000, 1), bytes(SMALL_BYTES)])
def test_objects_have_the_manifests_that_prepare_makes(data: bytes) -> None:
    store, settled = Watched(), list[int]()
    with publishing(store, settled) as small:
        small.put(found(0, data))
        small.put(found(1, data))
    assert {record.manifest for record in store.names()} == {hash_of(data, PARAMS)}


def test_an_object_that_cannot_be_published_ends_all() -> None:
    store, settled = Watched(), list[int]()
    store.fails = True

    def put() -> None:
        with publishing(store, settled) as small:
            while True:
                small.put(found(0, noise(3000, 0)))

    with pytest.raises((NoSpaceError, StoppedError)):
        put()
    assert not contents(store)


@pytest.mark.parametrize("size", [SMALL_BYTES, SMALL_BYTES + 1])
def test_a_job_publishes_objects_of_any_size(size: int) -> None:
    store, source = MemoryStore(), MemorySource()
    source.put("d/one", noise(size, 1))
    assert download(store, source, prefix="d/").counts.finished == 1
    assert contents(store) == {"ds/one": noise(size, 1)}
