"""Which jobs a server takes, and that it keeps no store open for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from casync_server.jobs.job_queue import JobQueue, ServedJob, next_job
from casync_server.stores import FolderStores

from casync.errors import LockedError
from casync.jobs.spec import JobSpec, SourceKind
from casync.store.lmdb.namespaces import establish, namespace_folder, open_namespace
from casync.store.lmdb.store import LmdbStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with LmdbStore.open(path, create=True) as store:
        establish(store, "acme")
        establish(store, "idle")
    return path


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def queue(path: Path, said: list[str]) -> Iterator[JobQueue]:
    queue = JobQueue(FolderStores(path), said.append)
    yield queue
    queue.close()


def make(store: LmdbStore, dest: str, created: int, *, served: bool = True) -> str:
    spec = JobSpec("https://h/", dest, SourceKind.LISTING, served=served)
    return store.jobs.create(spec, created).id


def is_open(path: Path, namespace: str) -> bool:
    try:
        LmdbStore.open(namespace_folder(path, namespace)).close()
    except LockedError:
        return True
    return False


def test_jobs_of_clients_wait_in_the_order_of_their_age(path: Path, queue: JobQueue) -> None:
    assert queue.waiting([]) == []
    with LmdbStore.open(path) as store:
        late = ServedJob("", make(store, "a/", 30))
        make(store, "b/", 5, served=False)
        early = ServedJob("", make(store, "c/", 10))
    with open_namespace(path, "acme") as store:
        other = ServedJob("acme", make(store, "a/", 20))
    assert queue.waiting([]) == [early, other, late]
    assert queue.waiting([other]) == [early, late]
    assert queue.store("acme").jobs.find(other.id) is not None


def test_namespaces_take_turns() -> None:
    first, second, other = (ServedJob(*each) for each in (("", "a"), ("", "b"), ("acme", "c")))
    assert next_job([first, second, other], []) == first
    assert next_job([second, other], [first]) == other
    assert next_job([second], [first, other]) == second
    assert next_job([second, ServedJob("acme", "d")], [first, other]) == second


def test_a_store_is_open_only_while_it_has_jobs(path: Path, queue: JobQueue) -> None:
    queue.waiting([])
    assert not is_open(path, "")
    with open_namespace(path, "acme") as store:
        ident = make(store, "a/", 20)
    assert queue.waiting([]) == [ServedJob("acme", ident)]
    assert is_open(path, "acme")
    assert not is_open(path, "idle")
    with queue.store("acme").jobs.claim(ident):
        assert queue.waiting([]) == []  # it has a runner
        assert is_open(path, "acme")
    assert queue.waiting([]) == [ServedJob("acme", ident)]  # whose end changes no file
    queue.store("acme").jobs.request_stop(ident)
    assert queue.waiting([ServedJob("acme", ident)]) == []
    assert is_open(path, "acme")  # its run has not been told yet
    assert queue.waiting([]) == []
    assert not is_open(path, "acme")


def test_a_store_that_cannot_be_read_stops_no_others(
    path: Path, queue: JobQueue, said: list[str]
) -> None:
    with LmdbStore.open(path) as store:
        ident = make(store, "a/", 30)
    broken = namespace_folder(path, "acme") / "data.mdb"
    broken.write_bytes(b"\xff" * broken.stat().st_size)
    assert queue.waiting([]) == [ServedJob("", ident)]
    assert len(said) == 1
    assert said[0].startswith("cannot run jobs in acme: ")
