"""The plan of a job: what it would fetch, skip and remove."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from casync.errors import UsageError
from casync.jobs.item import Item
from casync.jobs.spec import JobSpec, SourceKind
from casync.ops.download.forecast import JobAction, forecast_job
from casync.remote.sources.item_sources import ItemSources
from casync.remote.sources.options import SourceOptions
from casync.store.memory import MemoryStore
from tests.support.downloading import OneSource, contents, download, spec
from tests.support.memory_source import MemorySource

FETCH, ASK, SKIP = JobAction.FETCH, JobAction.ASK, JobAction.SKIP
REMOVE, FAIL = JobAction.REMOVE, JobAction.FAIL


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def source() -> MemorySource:
    source = MemorySource()
    for number in range(4):
        source.put(f"{number}", b"content %d" % number)
    return source


def planned(
    store: MemoryStore, source: MemorySource, what: JobSpec, given: Iterable[Item] = ()
) -> list[tuple[JobAction, str]]:
    plan = forecast_job(what, store.jobs, OneSource(source), lambda: given)
    return [(each.action, each.name) for each in plan]


def test_what_is_not_here_would_be_fetched(store: MemoryStore, source: MemorySource) -> None:
    assert planned(store, source, spec()) == [(FETCH, f"ds/{n}") for n in range(4)]
    assert contents(store) == {}


def test_what_is_unchanged_would_be_skipped(store: MemoryStore, source: MemorySource) -> None:
    """D11."""
    download(store, source)
    source.put("2", b"changed")
    source.put("4", b"new")
    actions = [SKIP, SKIP, FETCH, SKIP, FETCH]
    assert planned(store, source, spec()) == [(do, f"ds/{n}") for n, do in enumerate(actions)]


def test_an_address_without_a_listing_would_be_asked(
    store: MemoryStore, source: MemorySource
) -> None:
    download(store, source)
    items = [Item("1", "ds/1", is_url=True), Item("x", "ds/x", is_url=True)]
    listed = spec(kind=SourceKind.LIST, list_digest=bytes(32))
    assert planned(store, source, listed, items) == [(ASK, "ds/1"), (FETCH, "ds/x")]


def test_what_is_gone_would_be_removed_with_sync_only(
    store: MemoryStore, source: MemorySource
) -> None:
    """D6."""
    download(store, source)
    source.remove("1")
    assert REMOVE not in dict(planned(store, source, spec()))
    assert planned(store, source, spec(sync=True))[-1] == (REMOVE, "ds/1")
    with pytest.raises(UsageError, match="more than 0 names would be removed"):
        planned(store, source, spec(sync=True, max_delete=0))
    assert len(contents(store)) == 4


def test_two_objects_with_one_name_are_refused(store: MemoryStore, source: MemorySource) -> None:
    source.put("a/x", b"1")
    source.put("b/x", b"2")
    with pytest.raises(UsageError, match="several objects would have the name ds/x"):
        planned(store, source, spec(flatten=True))


def test_an_object_without_a_name_would_fail_alone(
    store: MemoryStore, source: MemorySource
) -> None:
    items = [Item("1", ""), Item("2", "ds/2")]
    listed = spec(kind=SourceKind.LIST, list_digest=bytes(32))
    assert planned(store, source, listed, items) == [(FAIL, ""), (FETCH, "ds/2")]


def test_a_key_that_is_no_path_fails_with_its_folder_alone(
    store: MemoryStore, source: MemorySource
) -> None:
    """D2: as in a run, what such a key hides is listed by folders."""
    source.put("a//b", b"hidden")
    source.put("z/x", b"beside")
    source.put("a/../x", b"a key like any other")
    found = planned(store, source, spec())
    assert (FAIL, "") in found
    assert sorted(name for action, name in found if action is FETCH) == [
        *(f"ds/{n}" for n in range(4)),
        "ds/z/x",
    ]
    assert len(found) == len(set(found))


def test_what_would_fail_has_a_reason(store: MemoryStore, source: MemorySource) -> None:
    items = [Item("ftp://h/x", "ds/x", is_url=True), Item("1", "", is_url=True)]
    listed = spec("http://h/", kind=SourceKind.LIST, list_digest=bytes(32))
    with ItemSources(listed, SourceOptions()) as sources:
        plan = list(forecast_job(listed, store.jobs, sources, lambda: items[:1]))
    plan += forecast_job(listed, store.jobs, OneSource(source), lambda: items[1:])
    assert [each.action for each in plan] == [FAIL, FAIL]
    assert [each.reason for each in plan] == [
        "ftp:// is not supported",
        "it can have no name; a list can give it one: URL,NAME",
    ]
    items = [Item("http://h/\u00e9 1", "ds/1", is_url=True)]
    (sent,) = forecast_job(listed, store.jobs, OneSource(source), lambda: items)
    assert sent.url == "http://h/%C3%A9%201"
    (found, *_) = forecast_job(spec(), store.jobs, OneSource(source), lambda: ())
    assert (found.url, found.reason) == ("s3://memory/0", "")
