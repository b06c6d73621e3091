"""Downloads from Python."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import casync
from casync.errors import LockedError, NotFoundError, TimedOutError, UsageError
from casync.jobs.job import JobState
from casync.jobs.spec import SourceKind
from casync.store.lmdb.store import LmdbStore
from tests.support.held_server import held_server

OBJECTS = {f"set/{number}.bin": bytes([number]) * 300_000 for number in range(3)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    with casync.open_store(tmp_path / "store", create=True) as store:
        yield store


def read(name: str, store: LmdbStore) -> bytes:
    with casync.open_ref(name, store) as file:
        return file.read()


def test_a_job_runs_in_the_background_and_is_waited_for(store: LmdbStore) -> None:
    """D1, D9."""
    with held_server(OBJECTS) as server:
        job = casync.download(f"{server.url}/set/{{0..4}}.bin", "ds/", store)
        with pytest.raises(TimedOutError):
            job.wait(0.01)
        assert job.row.state is JobState.RUNNING
        server.go()
        row = job.wait()
    assert (row.state, row.counts.finished, row.counts.failed) == (JobState.FINISHED, 3, 2)
    assert [fault.name for fault in job.errors()] == ["ds/3.bin", "ds/4.bin"]
    assert read("ds/1.bin", store) == OBJECTS["set/1.bin"]


def test_a_job_is_stopped_and_goes_on(store: LmdbStore) -> None:
    """D9, D12."""
    with held_server(OBJECTS) as server:
        template = f"{server.url}/set/{{0..2}}.bin"
        job = casync.download(template, "ds/", store)
        with pytest.raises(LockedError):
            casync.download(template, "ds/", store)
        job.stop()
        assert job.wait().state is JobState.ABORTED
        server.go()
        again = casync.download(template, "ds/", store)
        assert again.id == job.id
        assert again.wait().counts.finished == 3


def test_a_list_may_be_a_path_or_a_stream(store: LmdbStore, tmp_path: Path) -> None:
    """D7."""
    listed = json.dumps(["set/0.bin", "set/2.bin"]).encode()
    (tmp_path / "list").write_bytes(listed)
    with held_server(OBJECTS) as server:
        server.go()
        first = casync.download(server.url, "a/", store, object_list=io.BytesIO(listed))
        second = casync.download(server.url, "b/", store, object_list=tmp_path / "list")
        assert [job.wait().counts.finished for job in (first, second)] == [2, 2]
    assert read("a/set/0.bin", store) == read("b/set/0.bin", store) == OBJECTS["set/0.bin"]


def test_a_mistake_is_an_error_at_once(store: LmdbStore) -> None:
    with pytest.raises(UsageError):
        casync.download("neither", "ds/", store)
    with pytest.raises(UsageError, match="cannot read the object list /: Is a directory"):
        casync.download("http://h/", "ds/", store, object_list="/")
    with pytest.raises(NotFoundError, match="cannot read the object list /missing"):
        casync.download("http://h/", "ds/", store, object_list="/missing")
    assert list(store.jobs.rows()) == []


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_missing_file_of_this_machine_is_said_to_be_one(
    store: LmdbStore, tmp_path: Path, scheme: str
) -> None:
    row = casync.download(f"{scheme}{tmp_path}/a", "name", store).wait()
    (fault,) = store.jobs.faults(row.id)
    assert fault.message == f"there is no file {tmp_path}/a"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_missing_folder_of_this_machine_leaves_no_job(
    store: LmdbStore, tmp_path: Path, scheme: str
) -> None:
    for path in ("b/c", "b/"):
        with pytest.raises(NotFoundError, match=f"there is no folder {tmp_path}/b"):
            casync.download(f"{scheme}{tmp_path}/{path}", "name", store)
    assert list(store.jobs.rows()) == []


@pytest.mark.parametrize(
    ("source", "dest", "kind", "description"),
    [
        ("http://u:p@h/a?sig=1", "x", SourceKind.OBJECT, "http://***@h/a?sig=*** -> x"),
        ("s3://b/{1..9}", "x", SourceKind.TEMPLATE, "s3://b/{1..9} -> x/"),
        ("s3://b/p/", "", SourceKind.LISTING, "s3://b/p/ -> /"),
    ],
)
def test_a_description_says_from_where_to_where_without_secrets(
    source: str, dest: str, kind: SourceKind, description: str
) -> None:
    with casync.DownloadRequest(source, dest) as request:
        assert (request.spec.kind, request.spec.description) == (kind, description)


def test_an_object_is_fetched_by_its_url(store: LmdbStore) -> None:
    """H1."""
    with held_server(OBJECTS) as server:
        server.go()
        got = casync.get(f"{server.url}/set/1.bin", store)
    assert read(got.manifest.hex(), store) == OBJECTS["set/1.bin"]
