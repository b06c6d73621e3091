"""`--sync`: names whose objects are gone at the source are removed, and no others, ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from casync.errors import NotFoundError, UnreachableError
from casync.ids import ManifestId
from casync.jobs.job import JobRow, JobState
from casync.names.name import parse_name
from casync.names.name_update import NameUpdate
from casync.remote.sources.base import Listed
from casync.store.memory import MemoryStore
from tests.support.downloading import contents, download, options, spec
from tests.support.memory_source import MemorySource


class Listing(MemorySource):
    """A source whose listing breaks off."""

    breaks_after = 10**9
    hidden = ""
    when_asked: Callable[[], object] = staticmethod(lambda: None)

    def find(self, key: str) -> Listed | None:
        self.when_asked()
        return super().find(key)

    def list_below(self, prefix: str) -> Iterator[Listed]:
        for number, listed in enumerate(super().list_below(prefix)):
            if number == self.breaks_after:
                raise UnreachableError("the listing broke off")
            if listed.key != self.hidden:
                yield listed


@pytest.fixture
def source() -> Listing:
    source = Listing()
    for number in range(20):
        source.put(f"d/{number:02}", b"%d" % number)
    return source


@pytest.fixture
def store(source: Listing) -> MemoryStore:
    store = MemoryStore()
    download(store, source, prefix="d/")
    return store


def sync(store: MemoryStore, source: Listing, **changes: Any) -> JobRow:
    what = spec(sync=True, **changes)
    return download(store, source, what, prefix="d/", how=options(attempts=2))


def test_names_of_objects_that_are_gone_are_removed(store: MemoryStore, source: Listing) -> None:
    """D6: after all downloads, into the trash, and only once."""
    source.remove("d/03")
    source.remove("d/17")
    source.put("d/20", b"new")
    row = sync(store, source)
    assert (row.counts.finished, row.counts.skipped, row.counts.removed) == (1, 18, 2)
    assert sorted(contents(store)) == [f"ds/{n:02}" for n in range(21) if n not in (3, 17)]
    assert {entry.record.name for entry in store.removed() if entry.record} == {"ds/03", "ds/17"}
    assert sync(store, source).counts.removed == 0


def test_a_name_whose_object_came_after_the_listing_stays(
    store: MemoryStore, source: Listing
) -> None:
    """D6: the listing of a job that is continued is old; meanwhile another job fetched more."""
    source.remove("d/03")
    source.put("d/20", b"new")
    download(store, source, prefix="d/")
    source.hidden = "d/20"
    assert sync(store, source).counts.removed == 1
    assert sorted(contents(store)) == [f"ds/{n:02}" for n in range(21) if n != 3]


def test_a_name_that_is_set_by_hand_meanwhile_stays(store: MemoryStore, source: Listing) -> None:
    """D6: even while the source is asked whether its object is gone."""
    manifest = ManifestId(next(store.names()).manifest)
    source.remove("d/17")
    source.when_asked = lambda: store.set_name(NameUpdate(parse_name("ds/17"), manifest))
    assert sync(store, source).counts.removed == 0
    assert contents(store)["ds/17"] == b"0"


def test_only_names_that_came_from_this_source_and_prefix_are_removed(
    store: MemoryStore, source: Listing
) -> None:
    """D6: names set by hand, changed by hand, or fetched from elsewhere stay."""
    manifest = ManifestId(next(store.names()).manifest)
    store.set_name(NameUpdate(parse_name("ds/by-hand"), manifest))
    store.set_name(NameUpdate(parse_name("ds/05"), manifest))
    other = MemorySource()
    other.place = "s3://other"
    other.put("d/elsewhere", b"elsewhere")
    download(store, other, spec("s3://other"), prefix="d/")
    outside = MemorySource()
    outside.put("e/outside", b"outside")
    download(store, outside, spec("s3://memory/e"), prefix="e/")
    for number in range(1, 20):
        source.remove(f"d/{number:02}")
    row = sync(store, source)
    assert row.counts.removed == 18
    left = ["ds/00", "ds/05", "ds/by-hand", "ds/elsewhere", "ds/outside"]
    assert sorted(contents(store)) == left


def test_nothing_is_removed_after_a_listing_that_broke_off(
    store: MemoryStore, source: Listing
) -> None:
    """D6: a partial listing fails the job."""
    source.breaks_after = 10
    with pytest.raises(UnreachableError):
        sync(store, source)
    assert len(contents(store)) == 20
    (row,) = [row for row in store.jobs.rows() if row.state is JobState.ABORTED]
    assert (row.failure, row.total) == ("the listing broke off", -1)


def test_nothing_is_removed_after_an_empty_listing(store: MemoryStore, source: Listing) -> None:
    """D6: an empty source is more often a mistake than a wish."""
    for number in range(20):
        source.remove(f"d/{number:02}")
    with pytest.raises(NotFoundError):
        sync(store, source)
    assert len(contents(store)) == 20
    row = sync(store, source, allow_empty=True)
    assert (row.total, row.counts.removed) == (0, 20)
    assert not contents(store)


def test_more_than_the_most_removals_are_none(store: MemoryStore, source: Listing) -> None:
    """D6: `--max-delete`."""
    for number in range(5):
        source.remove(f"d/{number:02}")
    row = sync(store, source, max_delete=4)
    assert row.state is JobState.FINISHED
    assert row.counts.removed == 0
    assert "more than 4 names" in row.failure
    assert len(contents(store)) == 20
    assert sync(store, source, max_delete=5).counts.removed == 5


def test_nothing_is_removed_when_an_object_failed(store: MemoryStore, source: Listing) -> None:
    def refuse(key: str, start: int) -> None:
        raise UnreachableError("reset")

    source.remove("d/03")
    source.put("d/04", b"changed")
    source.before_read = refuse
    row = sync(store, source)
    assert (row.counts.failed, row.counts.removed) == (1, 0)
    assert "1 object failed" in row.failure
    assert len(contents(store)) == 20


def test_shares_remove_what_is_theirs(source: Listing) -> None:
    """D6: with `--part`, each host removes names of its own share only."""
    store = MemoryStore()
    for part in (1, 2):
        download(store, source, spec(part=part, shares=2), prefix="d/")
    source.remove("d/03")
    source.remove("d/11")
    source.remove("d/12")
    removed = [sync(store, source, part=part, shares=2).counts.removed for part in (1, 2)]
    assert sum(removed) == 3
    assert len(contents(store)) == 17
