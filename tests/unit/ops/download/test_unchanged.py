"""Objects that are unchanged: compared many at a time, and what differs is fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest

from casync.errors import UnreachableError
from casync.jobs.checksum import Checksum
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.item import Item
from casync.jobs.job import JobRow
from casync.jobs.spec import SourceKind
from casync.jobs.validators import Validators
from casync.ops.download.unchanged import COMPARED_TOGETHER
from casync.remote.sources.base import Listed, failed
from casync.store.memory import MemoryStore
from tests.support.downloading import contents, download, spec
from tests.support.memory_source import MemorySource
from tests.support.preparing import noise

OBJECTS = 200


class AskedSource(MemorySource):
    """Lists keys alone, as web servers do, and tells of many at once whether they are unchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.lists_sizes = False
        self.asked: list[int] = []
        self.fails = False

    def _shown(self, key: str) -> Listed:
        return Listed(key, None)

    def unchanged(self, known: Sequence[tuple[str, Validators]]) -> list[bool]:
        self.asked.append(len(known))
        if self.fails:
            raise failed(UnreachableError("no answer"), ObjectFaultKind.TIMEOUT)
        found = [self.find(key) for key, _ in known]
        return [
            listed is not None and listed.validators.strong_etag == validators.strong_etag
            for listed, (_, validators) in zip(found, known, strict=True)
        ]


@pytest.fixture
def source() -> AskedSource:
    source = AskedSource()
    for number in range(OBJECTS):
        source.put(f"d/{number:03}", noise(500, number))
    return source


def test_unchanged_objects_are_asked_for_together_and_not_opened(source: AskedSource) -> None:
    """D11: a second run fetches nothing."""
    store = MemoryStore()
    download(store, source, prefix="d/")
    assert source.asked == []
    source.reads.clear()
    row = download(store, source, prefix="d/")
    assert (row.counts.skipped, row.counts.finished, row.cursor) == (OBJECTS, 0, OBJECTS)
    assert row.counts.bytes == OBJECTS * 500
    assert sum(source.asked) == OBJECTS
    assert len(source.asked) < OBJECTS / COMPARED_TOGETHER * 2 + 8
    assert source.reads == []


def test_what_changed_or_is_gone_is_asked_for_alone(source: AskedSource) -> None:
    store = MemoryStore()
    download(store, source, prefix="d/")
    changed = {f"d/{number:03}": noise(700, number + 1000) for number in range(0, OBJECTS, 9)}
    for key, data in changed.items():
        source.put(key, data)
    source.put("d/new", b"new")
    source.reads.clear()
    row = download(store, source, prefix="d/")
    assert row.counts.finished == len(changed) + 1
    assert row.counts.skipped == OBJECTS - len(changed)
    assert {key for key, _, _ in source.reads} == {*changed, "d/new"}
    found = contents(store)
    assert all(found[f"ds/{key.removeprefix('d/')}"] == data for key, data in changed.items())


def test_a_source_that_cannot_be_asked_for_many_is_asked_for_each(source: AskedSource) -> None:
    store = MemoryStore()
    download(store, source, prefix="d/")
    source.fails = True
    row = download(store, source, prefix="d/")
    assert (row.counts.skipped, row.counts.failed) == (OBJECTS, 0)


DATA = noise(20_000, 7)
SHA256 = Checksum("sha256", hashlib.sha256(DATA).digest())
WRONG = Checksum("sha256", bytes(32))


def listed_job(store: MemoryStore, source: MemorySource, **said: Any) -> JobRow:
    """Runs a job of a list with one object, of which it says something."""
    item = Item("x", "ds/x", is_url=True, **said)
    return download(store, source, spec(kind=SourceKind.LIST, list_digest=bytes(32)), given=[item])


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"size": 5}, ObjectFaultKind.SHORT_BODY),
        ({"validators": Validators(checksums=(WRONG,))}, ObjectFaultKind.CHECKSUM),
        ({"size": 20_000, "validators": Validators(checksums=(WRONG,))}, ObjectFaultKind.CHECKSUM),
    ],
)
def test_an_unchanged_object_fails_if_its_list_says_otherwise(
    said: dict[str, Any], kind: ObjectFaultKind
) -> None:
    """D12: what is here is no proof of what a list says."""
    store, source = MemoryStore(), MemorySource()
    source.put("x", DATA)
    assert listed_job(store, source).counts.finished == 1
    row = listed_job(store, source, **said)
    (fault,) = store.jobs.faults(row.id)
    assert (row.counts.skipped, row.counts.failed, fault.kind) == (0, 1, kind)
    assert contents(store) == {"ds/x": DATA}


def test_what_a_list_says_is_verified_once() -> None:
    """D12: a checksum that the source does not give is compared with that of the last run."""
    store, source = MemoryStore(), MemorySource()
    source.put("x", DATA)
    listed_job(store, source)
    said = Validators(checksums=(SHA256,))
    assert listed_job(store, source, validators=said).counts.finished == 1
    source.reads.clear()
    assert listed_job(store, source, validators=said).counts.skipped == 1
    assert listed_job(store, source, size=20_000, validators=said).counts.skipped == 1
    assert source.reads == []
