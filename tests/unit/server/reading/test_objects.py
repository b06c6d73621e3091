"""One answer per id, in order, within the limit of a batch."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import casync_server.reading.objects as module
import pytest
from casync_server.http.request_stats import RequestStats
from casync_server.reading.objects import answers

from casync.ids import Kind, ObjectId, chunk_id
from casync.objects.codec import Packed, Packer
from casync.objects.delta import Singles
from casync.store.base import Absence, Batch
from casync.store.memory import MemoryStore
from casync.wire.frames import Answer, Status
from casync.wire.requests import GroupsRequest


def request(kind: Kind, ids: Sequence[ObjectId]) -> GroupsRequest:
    return GroupsRequest(kind, Singles(ids))


def freely() -> AbstractContextManager[bool]:
    return nullcontext(True)


def flat(batches: Iterable[list[Answer]]) -> list[Answer]:
    return [answer for batch in batches for answer in batch]


class Counting(MemoryStore):
    """Records how many ids were requested at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.damaged: set[ObjectId] = set()

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        self.asked.append(len(ids))
        for ident, answer in zip(ids, super().get(kind, ids), strict=True):
            yield Absence.DAMAGED if ident in self.damaged else answer


def filled(count: int, size: int) -> tuple[Counting, list[ObjectId]]:
    store = Counting()
    packer = Packer()
    objects = [packer.pack_new(Kind.CHUNK, os.urandom(size)) for _ in range(count)]
    store.commit(Batch(objects=objects))
    return store, [item.id for item in objects]


def test_answers_keep_the_order_and_are_counted() -> None:
    store, ids = filled(100, 1000)
    absent = chunk_id(b"absent")
    store.damaged = {ids[50]}
    stats = RequestStats()
    got = flat(answers(store, request(Kind.CHUNK, [*ids, absent]), lambda: 10_000, stats, freely))
    assert got[50] is Status.DAMAGED
    assert got[100] is Status.MISSING
    assert [a.id for a in got if isinstance(a, Packed)] == ids[:50] + ids[51:]
    assert (stats.objects, stats.absent) == (99, 2)
    assert ids[50].hex() in stats.note


def test_reads_follow_the_wanted_size() -> None:
    store, ids = filled(200, 1000)
    flat(answers(store, request(Kind.CHUNK, ids), lambda: 5000, RequestStats(), freely))
    assert store.asked[0] == 16
    assert max(store.asked[1:]) <= 5


def test_another_kind_is_missing() -> None:
    store, ids = filled(1, 1000)
    assert flat(answers(store, request(Kind.NODE, ids), lambda: 1, RequestStats(), freely)) == [
        Status.MISSING
    ]


def test_more_than_a_batch_may_hold_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BATCH_BYTES", 3500)
    store, ids = filled(10, 1000)
    got = flat(answers(store, request(Kind.CHUNK, ids), lambda: 100, RequestStats(), freely))
    assert [isinstance(a, Packed) for a in got] == [True] * 3 + [False] * 7
    assert set(got[3:]) == {Status.BUSY}
    monkeypatch.setattr(module, "MAX_BATCH_BYTES", 500)
    first, *rest = flat(
        answers(store, request(Kind.CHUNK, ids), lambda: 100, RequestStats(), freely)
    )
    assert isinstance(first, Packed)
    assert set(rest) == {Status.BUSY}


def test_a_batch_ends_when_it_is_large_enough() -> None:
    store, ids = filled(40, 1000)
    batches = answers(store, request(Kind.CHUNK, ids), lambda: 5000, RequestStats(), freely)
    assert [len(batch) for batch in batches] == [5] * 8
