"""Jobs from a source in memory: what they fetch, count, skip, refuse and leave behind."""

from __future__ import annotations

import threading

import pytest

from casync.errors import (
    LockedError,
    LostRaceError,
    MalformedError,
    NoSpaceError,
    NotFoundError,
    UsageError,
)
from casync.ids import ManifestId
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.job import JobState
from casync.jobs.spec import SourceKind
from casync.names.name import parse_name
from casync.names.name_update import NameUpdate
from casync.ops.download.progress import JobView
from casync.ops.download.run import start_or_continue
from casync.remote.sources.base import Listed
from casync.store.base import Batch, Committed
from casync.store.memory import MemoryStore
from tests.support.downloading import contents, download, spec
from tests.support.memory_source import MemorySource
from tests.support.preparing import noise


@pytest.fixture
def source() -> MemorySource:
    source = MemorySource()
    for number in range(30):
        source.put(f"d/{number % 3}/file-{number:02}", noise(2000 * number, number))
    source.put("d/large", noise(3_000_000, 99))
    source.put("elsewhere", b"not below d/")
    return source


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def objects(source: MemorySource, prefix: str = "d/", dest: str = "ds/") -> dict[str, bytes]:
    found = {}
    for listed in [*source.list_below(prefix)]:
        answer = source.open(listed.key)
        assert answer is not None
        found[dest + listed.key.removeprefix(prefix)] = b"".join(answer.blocks())
    source.reads.clear()
    return found


def test_a_prefix_becomes_names_below_the_destination(
    store: MemoryStore, source: MemorySource
) -> None:
    """D4, D7: everything below a prefix, under names that keep the path."""
    expected = objects(source)
    row = download(store, source, prefix="d/")
    assert row.state is JobState.FINISHED
    assert (row.total, row.cursor, row.beyond, row.active) == (31, 31, (), ())
    assert (row.counts.finished, row.counts.skipped, row.counts.failed) == (31, 0, 0)
    assert row.counts.bytes == row.counts.fetched == sum(map(len, expected.values()))
    assert contents(store) == expected
    assert store.jobs.find(row.id) == row


def test_a_prefix_may_end_within_a_component(store: MemoryStore, source: MemorySource) -> None:
    """D7: names are relative to the folder; nothing beside the prefix is fetched."""
    expected = objects(source)
    row = download(store, source, prefix="d/1/file-0")
    assert row.counts.finished == 3
    assert contents(store) == {
        f"ds/file-{number:02}": expected[f"ds/1/file-{number:02}"] for number in (1, 4, 7)
    }


def test_a_second_run_asks_for_nothing_that_is_unchanged(
    store: MemoryStore, source: MemorySource
) -> None:
    """D11: the validators of the listing are enough."""
    download(store, source, prefix="d/")
    source.reads.clear()
    source.put("d/large", noise(3_000_001, 98))
    row = download(store, source, prefix="d/")
    assert (row.counts.finished, row.counts.skipped) == (1, 30)
    assert {key for key, _, _ in source.reads} == {"d/large"}
    assert contents(store) == objects(source)
    assert len(store.history(parse_name("ds/large"))) == 2


def test_a_name_that_was_set_by_hand_is_fetched_again(
    store: MemoryStore, source: MemorySource
) -> None:
    """D11: an origin counts only for the version that the download made."""
    download(store, source, prefix="d/")
    other = next(store.names("ds/0/"))
    store.set_name(NameUpdate(parse_name("ds/large"), ManifestId(other.manifest)))
    row = download(store, source, prefix="d/")
    assert (row.counts.finished, row.counts.skipped) == (1, 30)
    assert contents(store) == objects(source)


def test_a_job_of_nothing_fails_and_is_there_to_be_continued(
    store: MemoryStore, source: MemorySource
) -> None:
    with pytest.raises(NotFoundError):
        download(store, source, prefix="nothing/")
    (row,) = store.jobs.rows()
    assert row.state is JobState.ABORTED
    assert "nothing/" in row.failure
    source.put("nothing/after-all", b"x")
    assert download(store, source, prefix="nothing/").id == row.id


def test_keys_that_are_not_paths_hide_only_their_folder(
    store: MemoryStore, source: MemorySource
) -> None:
    """D7, D10: one such key must not keep a bucket from being downloaded."""
    expected = objects(source)
    source.put("d/bad/a//b", b"hidden")
    source.put("d/bad/a/c", b"hidden, too")
    row = download(store, source, spec(sync=True), prefix="d/")
    assert (row.counts.finished, row.counts.failed) == (31, 1)
    (fault,) = store.jobs.faults(row.id)
    assert (fault.url, fault.kind) == ("s3://memory/d/bad/a/", ObjectFaultKind.NAME)
    assert "not paths" in fault.message
    assert contents(store) == expected
    source.put("d//b", b"in the first folder")
    with pytest.raises(MalformedError):
        download(store, source, prefix="d/")


def test_two_objects_of_one_name_are_refused_before_anything_moves(
    store: MemoryStore, source: MemorySource
) -> None:
    source.put("d/0/large", b"another")
    with pytest.raises(UsageError, match=r"d/0/large and d/large"):
        download(store, source, spec(flatten=True), prefix="d/")
    assert source.reads == []
    assert not contents(store)


def test_a_job_that_is_stopped_ends_aborted_and_goes_on_later(
    store: MemoryStore, source: MemorySource
) -> None:
    """D9, D12: a stop keeps what is done; the same download goes on from there."""

    def stop(key: str, start: int) -> None:
        if key == "d/1/file-10":
            store.jobs.request_stop(next(store.jobs.rows()).id)
            stopped.wait(30)

    stopped = threading.Event()
    source.before_read = stop
    source.close = stopped.set  # type: ignore[method-assign]  # reads that wait end
    row = download(store, source, spec(max_conns=2), prefix="d/")
    assert row.state is JobState.ABORTED
    assert row.counts.settled == row.cursor + len(row.beyond) < 31
    assert len(contents(store)) == row.counts.finished
    source.before_read = lambda key, start: None
    source.reads.clear()
    again = download(store, source, prefix="d/")
    assert (again.id, again.state) == (row.id, JobState.FINISHED)
    assert again.counts.finished == 31
    assert len(source.reads) == 31 - row.counts.finished
    assert contents(store) == objects(source)


def test_a_prefix_need_not_end_at_a_slash(store: MemoryStore, source: MemorySource) -> None:
    """D7: as with object storage, everything whose key begins so."""
    row = download(store, source, prefix="d/1/file-1")
    names = [f"ds/file-{number}" for number in (10, 13, 16, 19)]
    assert (row.total, sorted(contents(store))) == (4, names)


@pytest.mark.parametrize("share", [1, 2, 3])
def test_shares_of_a_listing_are_disjoint_and_complete(source: MemorySource, share: int) -> None:
    """D7: `--part K/N` on several hosts."""
    expected = objects(source)
    found: list[str] = []
    for part in range(1, share + 1):
        store = MemoryStore()
        row = download(store, source, spec(part=part, shares=share), prefix="d/")
        assert row.total == row.counts.finished == len(contents(store))
        found += contents(store)
    assert sorted(found) == sorted(expected)


class Full(MemoryStore):
    """A store whose disk is full once objects were committed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = threading.Event()
        self.is_bounded = True

    def commit(self, batch: Batch) -> Committed:
        if self.is_bounded and self.is_full.is_set():
            raise NoSpaceError("no space left on /store")
        committed = super().commit(batch)
        if committed.names:
            self.is_full.set()
        return committed


def test_a_full_disk_ends_the_run_and_keeps_what_is_committed(source: MemorySource) -> None:
    store = Full()

    def wait(key: str, start: int) -> None:
        if key == "d/1/file-10":
            assert store.is_full.wait(60)

    source.before_read = wait
    with pytest.raises(NoSpaceError):
        download(store, source, spec(max_conns=1), prefix="d/")
    (row,) = store.jobs.rows()
    assert row.state is JobState.RUNNING  # shown as interrupted
    assert not store.jobs.is_running(row.id)
    assert 0 < row.counts.finished == len(contents(store))
    store.is_bounded = False
    row = download(store, source, prefix="d/")
    assert row.counts.finished == 31
    assert contents(store) == objects(source)


def test_a_runner_that_lost_its_job_stops(store: MemoryStore, source: MemorySource) -> None:
    def take_over(key: str, start: int) -> None:
        if key == "d/1/file-10":
            (row,) = store.jobs.rows()
            tables = store._tables
            tables.jobs.runners.pop(row.id, None)
            store.jobs.claim(row.id)

    source.before_read = take_over
    with pytest.raises(LostRaceError):
        download(store, source, spec(max_conns=1), prefix="d/")
    (row,) = store.jobs.rows()
    assert row.counts.finished == len(contents(store))


def test_a_job_that_runs_is_not_run_twice(store: MemoryStore, source: MemorySource) -> None:
    seen: list[Exception] = []

    def another(key: str, start: int) -> None:
        if not seen:
            try:
                start_or_continue(store, spec(), 0)
            except LockedError as error:
                seen.append(error)

    source.before_read = another
    download(store, source, spec(max_conns=1), prefix="d/")
    assert seen


def test_progress_shows_every_active_object_and_the_totals(
    store: MemoryStore, source: MemorySource
) -> None:
    """D8: names, bytes, sizes and speeds while the job runs, and its end."""
    views: list[JobView] = []
    seen = threading.Event()

    class Watching:
        def show(self, view: JobView) -> None:
            views.append(view)
            if view.active:
                seen.set()

        def note(self, text: str) -> None:
            raise AssertionError(text)

    def wait(key: str, start: int) -> None:
        seen.wait(10)

    source.before_read = wait
    download(store, source, prefix="d/", progress=Watching())
    active = next(view.active for view in views if view.active)
    assert {each.name.startswith("ds/") for each in active} == {True}
    assert views[-1].row.state is JobState.FINISHED
    assert views[-1].row.counts.finished == 31


def test_a_template_without_an_end_takes_what_the_source_lists(
    store: MemoryStore, source: MemorySource
) -> None:
    """D3: the objects below what precedes the number, if they fit the template."""
    what = spec("s3://memory/d/1/file-%02d", "ds/", kind=SourceKind.TEMPLATE)
    source.put("d/1/file-100", b"more")
    source.put("d/1/file-7", b"not padded")
    source.put("d/1/file-01.txt", b"longer")
    row = download(store, source, what, prefix="d/1/file-")
    numbers = [*range(1, 30, 3), 100]
    assert row.counts.finished == row.total == len(numbers)
    assert set(contents(store)) == {f"ds/file-{number:02}" for number in numbers}


def test_a_template_without_an_end_is_refused_where_nothing_is_listed(
    store: MemoryStore, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D3."""

    def refuse(prefix: str) -> list[Listed]:
        raise UsageError("s3://memory is no folder")

    monkeypatch.setattr(source, "list_below", refuse)
    what = spec("s3://memory/d/%06d?x=secret", "ds/", kind=SourceKind.TEMPLATE)
    with pytest.raises(UsageError, match="without an end, and s3://memory is no") as failed:
        download(store, source, what, prefix="d/")
    assert "{0000..9999}" in failed.value.next_step
