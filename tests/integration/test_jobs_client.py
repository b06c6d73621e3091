"""The client of a server's jobs, against the application in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest
from casync_server.app import create_app
from casync_server.jobs.source_policy import SourcePolicy
from casync_server.jobs.source_rules import SourceRules
from casync_server.settings import ServerSettings
from msgspec.structs import replace

from casync.errors import DeniedError, NotFoundError, RemoteError, UsageError
from casync.jobs.egress import EgressPolicy
from casync.jobs.fault import ObjectFault, ObjectFaultKind
from casync.jobs.job import Counts, JobState
from casync.jobs.object_list import ListedItem
from casync.jobs.spec import JobSpec, SourceKind
from casync.remote.server.jobs_client import JobsClient
from casync.remote.server.message import Request
from casync.store.base import Batch
from casync.store.jobs import JobUpdate, faults_of
from casync.store.lmdb.store import LmdbStore
from casync.wire.documents import JSON_TYPE, encode_document
from casync.wire.job_request import JobObjects, object_items
from tests.support.serving import serving_here

WANTED = JobSpec(
    "https://me:pw@h/{0..9}?sig=1",
    "sets",
    SourceKind.OBJECT,
    max_conns=3,
    headers=(("X-Key", "secret"),),
    flatten=True,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        yield store


@pytest.fixture
def client(store: LmdbStore) -> Iterator[JobsClient]:
    policy = SourcePolicy(None, ())
    app = create_app(
        store, ServerSettings(), jobs=SourceRules(policy, EgressPolicy()), sink=lambda _: None
    )
    with serving_here(app) as url, JobsClient(url) as client:
        yield client


def test_a_job_arrives_whole_and_returns_without_its_secrets(
    client: JobsClient, store: LmdbStore
) -> None:
    row = client.create(WANTED)
    with store.jobs.claim(row.id) as claim:
        kept = claim.spec
    described = "https://***@h/{0..9}?sig=*** -> sets/"
    whole = replace(WANTED, dest="sets/", kind=SourceKind.TEMPLATE, description=described)
    assert kept == replace(whole, served=True)
    assert row.spec == kept.without_secrets()
    assert row.state is JobState.QUEUED


def test_jobs_are_found_as_in_a_store(client: JobsClient, store: LmdbStore) -> None:
    rows = [client.create(replace(WANTED, dest=f"d{number}")) for number in range(3)]
    assert {row.id for row in client.rows()} == {row.id for row in rows}
    assert [row.id for row in client.rows()] == [row.id for row in store.jobs.rows()]
    assert client.find(rows[0].id) == rows[0]
    assert client.matching(rows[0].id) == [rows[0]]
    assert rows[0] in client.matching(rows[0].id[:6])
    assert client.matching("dnl-000000000") == []
    assert client.find("../pushes") is None


def test_whether_a_runner_lives_is_as_last_seen(client: JobsClient, store: LmdbStore) -> None:
    row = client.create(WANTED)
    with store.jobs.claim(row.id):
        assert not client.is_running(row.id)
        running = client.find(row.id)
        assert running is not None
        assert running.state is JobState.RUNNING
        assert client.is_running(row.id)
        with pytest.raises(RemoteError, match="is running"):
            client.remove(row.id)
        assert client.request_stop(row.id).state is JobState.RUNNING
    assert client.request_stop(row.id).state is JobState.ABORTED
    assert client.start(row.id).state is JobState.RUNNING
    assert not client.is_running(row.id)
    client.remove(row.id)
    for ask in (client.remove, client.start, client.request_stop):
        with pytest.raises(NotFoundError):
            ask(row.id)


def test_all_errors_are_read_page_by_page(client: JobsClient, store: LmdbStore) -> None:
    row = client.create(WANTED)
    faults = [
        ObjectFault(at, f"d/{at}", f"https://h/{at}", ObjectFaultKind.STALL, "late", 3, 5, 6)
        for at in range(1200)
    ]
    with store.jobs.claim(row.id) as claim:
        counts = Counts(failed=len(faults))
        done = replace(claim.row, total=2000, listed=2000, cursor=len(faults), counts=counts)
        store.commit(Batch(job=JobUpdate(done, faults)))
    assert list(faults_of(client, row.id)) == faults


def test_a_server_that_runs_no_jobs_says_so(store: LmdbStore) -> None:
    app = create_app(store, ServerSettings(), sink=lambda _: None)
    with (
        serving_here(app) as url,
        JobsClient(url) as client,
        pytest.raises(DeniedError, match="runs no jobs"),
    ):
        client.create(WANTED)


def listed(count: int, named: int = 0) -> list[ListedItem]:
    return [ListedItem(f"a/{at}", f"n{named or at}") for at in range(count)]


@pytest.mark.parametrize(("count", "shares"), [(3, 1), (2000, 1), (61_234, 1), (5_003, 4)])
def test_a_list_of_any_length_arrives_in_parts(
    client: JobsClient, store: LmdbStore, count: int, shares: int
) -> None:
    """D3: longer than a request may be; repeated, nothing is sent."""
    wanted = replace(WANTED, source="https://h/", shares=shares, part=min(2, shares))
    row = client.create(wanted, listed(count), bytes(32))
    expected = listed(count)[wanted.part - 1 :: shares]
    assert (row.listed, row.total) == (len(expected), -1)
    assert [item.name for item in store.jobs.items(row.id)] == [
        f"sets/{each.name}" for each in expected
    ]
    assert client.create(wanted, iter(()), bytes(32)).listed == len(expected)


def test_a_part_that_an_earlier_request_still_adds_is_sent_again(
    client: JobsClient, store: LmdbStore
) -> None:
    """The first answer was too late for the client, and its thread goes on."""
    earlier: list[Timer] = []

    def entries() -> Iterator[ListedItem]:
        (row,) = store.jobs.rows()
        earlier.append(Timer(0.2, store.jobs.claim(row.id).release))
        earlier[0].start()
        yield from listed(3)

    row = client.create(replace(WANTED, source="https://h/"), entries(), bytes(32))
    earlier[0].join()
    assert row.listed == len(list(store.jobs.items(row.id))) == 3


def test_a_list_that_breaks_off_is_sent_again_from_the_start(
    client: JobsClient, store: LmdbStore
) -> None:
    wanted = replace(WANTED, source="https://h/")

    def broken() -> Iterator[ListedItem]:
        yield from listed(60_000)
        raise UsageError("the list is malformed")

    with pytest.raises(UsageError, match="malformed"):
        client.create(wanted, broken(), bytes(32))
    (row,) = store.jobs.rows()
    assert (row.total, row.listed) == (-1, 0)
    with pytest.raises(RemoteError, match="not read to its end"):
        client.start(row.id)
    assert client.create(wanted, listed(1500), bytes(32)).listed == 1500
    assert len(list(store.jobs.items(row.id))) == 1500


def test_an_empty_list_and_a_job_without_a_list_are_refused(
    client: JobsClient, store: LmdbStore
) -> None:
    wanted = replace(WANTED, source="https://h/")
    with pytest.raises(NotFoundError, match="no objects"):
        client.create(wanted, iter(()), bytes(32))
    assert list(store.jobs.rows()) == []
    empty = client.create(replace(wanted, allow_empty=True), iter(()), bytes(32))
    assert (empty.total, empty.listed) == (0, 0)
    row = client.create(WANTED)
    body = encode_document(JobObjects(0, object_items(listed(1)), last=True))
    request = Request(f"/v1/jobs/{row.id}/objects", [JSON_TYPE], body, JSON_TYPE, writing=True)
    with pytest.raises(RemoteError, match="takes no list"):
        client._changed(request)
