"""Jobs of a server: requests, and what clients may not do."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from casync_server.app import create_app
from casync_server.jobs.source_policy import SourcePolicy
from casync_server.jobs.source_rules import SourceRules
from casync_server.settings import ServerSettings
from fastapi import FastAPI
from msgspec import convert
from msgspec.structs import replace

from casync.jobs.checksum import Checksum
from casync.jobs.egress import EgressPolicy
from casync.jobs.fault import ObjectFault, ObjectFaultKind
from casync.jobs.job import Counts
from casync.jobs.spec import JobSpec, SourceKind
from casync.names.token import TokenScope
from casync.remote.sources.job_sources import JobSources
from casync.store.base import Batch
from casync.store.jobs import JobUpdate
from casync.store.lmdb.namespaces import establish
from casync.store.lmdb.store import LmdbStore
from casync.wire.documents import decode_document
from casync.wire.jobs import JobItem, JobPage
from tests.support.scripted_server import ScriptedServer, reply
from tests.support.serving import ask

JOB: dict[str, Any] = {
    "source": "https://me:pw@data.example.com/{0..9}.tar?sig=abc",
    "destination": "sets/",
    "headers": [["X-Api-Key", "secret"]],
    "max_conns": 500,
}
ABSENT = "dnl-000000000"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        yield store


@pytest.fixture
def app(store: LmdbStore) -> FastAPI:
    policy = SourcePolicy(Path("/srv/import"), ["default:s3", "acme:gs"])
    return create_app(
        store, ServerSettings(), jobs=SourceRules(policy, EgressPolicy()), sink=lambda _: None
    )


def made(app: FastAPI, **changes: Any) -> dict[str, Any]:
    answer = ask(app, "POST", "/v1/jobs", json=JOB | changes)
    assert answer.status_code == 200, answer.text
    fields: dict[str, Any] = answer.json()
    return fields


def test_a_job_is_made_shown_and_listed_without_its_secrets(app: FastAPI) -> None:
    job = made(app)
    assert (job["state"], job["total"]) == ("queued", -1)
    assert (job["request"]["kind"], job["request"]["max_conns"]) == ("template", 32)
    shown = ask(app, "GET", f"/v1/jobs/{job['id']}")
    assert decode_document(shown.content, JobItem) == convert(job, JobItem)
    assert shown.headers["cache-control"] == "no-store"
    listed = decode_document(ask(app, "GET", "/v1/jobs").content, JobPage)
    assert listed == JobPage([convert(job, JobItem)], more=False)
    for secret in ("secret", "me:pw", "abc"):
        assert secret not in shown.text


def test_the_store_keeps_what_the_runner_needs(app: FastAPI, store: LmdbStore) -> None:
    ident = made(app)["id"]
    with store.jobs.claim(ident) as claim:
        assert claim.spec.source == JOB["source"]
        assert claim.spec.headers == (("X-Api-Key", "secret"),)
        assert claim.spec.served


def test_the_same_job_is_made_once_while_it_is_unfinished(app: FastAPI) -> None:
    first = made(app)
    again = made(app, description="again", source=JOB["source"].replace("pw", "new"))
    assert again["id"] == first["id"]
    assert again["description"] == "again"
    assert made(app, destination="other/")["id"] != first["id"]


def test_a_list_of_objects_is_here_before_a_runner_may_take_the_job(
    app: FastAPI, store: LmdbStore
) -> None:
    objects = [
        {"url": "a/x", "name": "one", "size": 3, "md5": "0" * 32, "headers": {"X-Part": "hidden"}},
        {"url": "https://elsewhere.example.com/y"},
    ]
    job = made(app, source="https://data.example.com/", objects=objects)
    assert (job["state"], job["request"]["kind"]) == ("interrupted", "list")
    assert (job["total"], job["scheduled_cnt"], job["all_dispatched"]) == (2, 2, True)
    assert job["description"] == "multi-download -> sets/"
    first, second = store.jobs.items(job["id"])
    assert (first.key, first.name, first.size) == ("https://data.example.com/a/x", "sets/one", 3)
    assert first.headers == (("X-Part", "hidden"),)
    assert first.validators.checksums == (Checksum("md5", bytes(16)),)
    assert second.name == "sets/y"
    again = made(app, source="https://data.example.com/", objects=objects)
    assert again["id"] == job["id"]
    other = made(app, source="https://data.example.com/", objects=objects[:1])
    assert other["id"] != job["id"]


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([{"url": "a/x"}, {"url": "https://h/b/x", "name": "a/x"}], "one name"),
        ([{"url": ""}], "empty"),
        ([{"url": "x", "md5": "zz"}], "not the md5"),
        ([{"name": "x"}], "JobRequest"),
    ],
)
def test_a_bad_list_leaves_no_job(
    app: FastAPI, store: LmdbStore, objects: list[dict[str, str]], said: str
) -> None:
    answer = ask(app, "POST", "/v1/jobs", json={"source": "https://h/", "objects": objects})
    assert answer.status_code == 400
    assert said in answer.text
    assert list(store.jobs.rows()) == []


def test_long_lists_take_turns_and_are_bounded(app: FastAPI) -> None:
    objects = [{"url": f"{number:0200}"} for number in range(5000)]
    body = {"source": "https://h/", "objects": objects}
    assert ask(app, "POST", "/v1/jobs", json=body).json()["total"] == 5000
    full = asyncio.Semaphore(0)
    jobs = app.state.service.jobs
    app.state.service.jobs = dataclasses.replace(jobs, lists=full, wait=0.01)
    refused = ask(app, "POST", "/v1/jobs", json=body)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "10"
    assert ask(app, "POST", "/v1/jobs", json=JOB).status_code == 200
    app.state.service.jobs = jobs
    body["objects"] = [{"url": "x" * 2000}] * 5000
    assert ask(app, "POST", "/v1/jobs", json=body).status_code == 413


def test_jobs_are_listed_page_by_page_the_oldest_first(app: FastAPI) -> None:
    idents = [made(app, destination=f"d{number}/")["id"] for number in range(5)]
    everything = ask(app, "GET", "/v1/jobs").json()["jobs"]
    assert sorted(job["id"] for job in everything) == sorted(idents)
    found, after = [], ""
    for _ in range(3):
        page = ask(app, "GET", f"/v1/jobs?limit=2&after={after}").json()
        found += page["jobs"]
        after = found[-1]["id"]
    assert found == everything
    assert not page["more"]
    assert ask(app, "GET", f"/v1/jobs?after={ABSENT}").status_code == 404


def test_a_job_without_a_runner_is_stopped_started_and_removed(
    app: FastAPI, store: LmdbStore
) -> None:
    path = f"/v1/jobs/{made(app)['id']}"
    for _ in range(2):
        stopped = ask(app, "POST", f"{path}/stop").json()
        assert (stopped["state"], stopped["aborted"]) == ("aborted", True)
    started = ask(app, "POST", f"{path}/start").json()
    assert (started["state"], started["aborted"]) == ("interrupted", False)
    assert made(app)["state"] == "interrupted"
    assert ask(app, "DELETE", path).json()["id"] == stopped["id"]
    assert ask(app, "DELETE", path).status_code == 404
    assert list(store.jobs.rows()) == []


def test_a_running_job_is_asked_to_stop_and_not_removed(app: FastAPI, store: LmdbStore) -> None:
    path = f"/v1/jobs/{made(app)['id']}"
    with store.jobs.claim(path.rpartition("/")[2]) as claim:
        assert ask(app, "POST", f"{path}/start").json()["state"] == "running"
        assert ask(app, "DELETE", path).status_code == 400
        assert not claim.stop_requested()
        assert ask(app, "POST", f"{path}/stop").json()["state"] == "running"
        assert claim.stop_requested()
    assert ask(app, "POST", f"{path}/start").json()["state"] == "interrupted"


def test_a_local_job_is_shown_and_not_started(app: FastAPI, store: LmdbStore) -> None:
    row = store.jobs.create(JobSpec("/etc/", "etc/", SourceKind.LISTING), 5)
    assert ask(app, "GET", f"/v1/jobs/{row.id}").json()["state"] == "queued"
    refused = ask(app, "POST", f"/v1/jobs/{row.id}/start")
    assert (refused.status_code, refused.json()["code"]) == (400, "usage")


def test_errors_are_paged_by_index(app: FastAPI, store: LmdbStore) -> None:
    ident = made(app)["id"]
    faults = [
        ObjectFault(at, f"sets/{at}", f"https://h/{at}", ObjectFaultKind.DNS, "no host", 2, 5, 6)
        for at in range(3)
    ]
    with store.jobs.claim(ident) as claim:
        row = replace(claim.row, total=10, listed=10, cursor=3, counts=Counts(failed=3))
        store.commit(Batch(job=JobUpdate(row, faults)))
    first = ask(app, "GET", f"/v1/jobs/{ident}/errors?limit=2").json()
    assert [each["index"] for each in first["errors"]] == [0, 1]
    assert first["more"]
    rest = ask(app, "GET", f"/v1/jobs/{ident}/errors?after=1").json()
    assert rest["errors"][0] == {
        "index": 2,
        "name": "sets/2",
        "url": "https://h/2",
        "kind": "dns",
        "error": "no host",
        "status": None,
        "attempts": 2,
        "first_time": 5,
        "last_time": 6,
    }
    assert not rest["more"]


@pytest.mark.parametrize("rest", ["", "/errors", "/events"])
def test_an_absent_job_is_not_found(app: FastAPI, rest: str) -> None:
    answer = ask(app, "GET", f"/v1/jobs/{ABSENT}{rest}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert ask(app, "GET", f"/v1/jobs/dnl-x{rest}").status_code == 422


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"source": "s3://bucket/"}, 200, ""),
        ({"source": "aws://bucket/x"}, 200, ""),
        ({"source": "gs://bucket/x"}, 403, "gs:// in this namespace"),
        ({"source": "hdfs://name/x"}, 403, "hdfs://"),
        ({"source": "ftp://host/x"}, 403, "ftp://"),
        ({"source": "casync://host/x"}, 200, ""),
        ({"source": "data.example.com/x"}, 200, ""),
        ({"source": "/srv/import/x"}, 200, ""),
        ({"source": "file:///srv/import/x/"}, 200, ""),
        ({"source": "/srv/import/*"}, 200, ""),
        ({"source": "/srv/imports/x"}, 403, "local path"),
        ({"source": "/srv/import/../x"}, 403, "local path"),
        ({"source": "/srv/import/{0..1}/../../x"}, 400, ""),
        ({"source": "/etc/passwd"}, 403, "local path"),
        ({"source": "./x"}, 403, "local path"),
        ({"source": "file://etc"}, 403, "local path"),
        ({"source": "nonsense"}, 400, "neither a URL nor a path"),
        ({"destination": "a//b"}, 400, ""),
        ({"sync": True}, 400, "not listed"),
        ({"source": "https://h/{9..0}"}, 400, "not valid"),
        ({"max_conns": 0}, 400, ""),
        ({"part": 2}, 400, ""),
    ],
)
def test_what_a_server_does_not_download_is_refused(
    app: FastAPI, store: LmdbStore, changes: dict[str, Any], status: int, said: str
) -> None:
    answer = ask(app, "POST", "/v1/jobs", json=JOB | changes)
    assert answer.status_code == status
    assert said in answer.text
    assert len(list(store.jobs.rows())) == (status == 200)


def test_a_server_without_jobs_refuses_all_of_them(store: LmdbStore) -> None:
    app = create_app(store, ServerSettings(), writable=store, sink=lambda _: None)
    row = store.jobs.create(JobSpec("/etc/", "etc/", SourceKind.LISTING), 5)
    for method, path in (("POST", ""), ("GET", ""), ("GET", f"/{row.id}")):
        answer = ask(app, method, f"/v1/jobs{path}", json=JOB if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (403, "denied")
        assert "--jobs" in answer.json()["next_step"]


def test_jobs_do_not_let_clients_push(app: FastAPI) -> None:
    assert ask(app, "POST", "/v1/pushes").status_code == 403


def test_a_token_sees_the_jobs_of_its_namespace_only(store: LmdbStore) -> None:
    establish(store, "acme")
    policy = SourcePolicy(None, ["acme:gs"])
    app = create_app(
        store, ServerSettings(), jobs=SourceRules(policy, EgressPolicy()), sink=lambda _: None
    )
    tokens = {
        namespace: store.tokens.issue(TokenScope.JOBS, namespace=namespace)[0]
        for namespace in ("", "acme")
    }
    bound = store.tokens.issue(TokenScope.JOBS, ["sets/"])[0]

    def as_tenant(token: str, method: str, path: str = "", **changes: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        body = JOB | changes if method == "POST" else None
        return ask(app, method, f"/v1/jobs{path}", headers=headers, json=body)

    source = "gs://bucket/x"
    assert as_tenant(tokens[""], "POST", source=source).status_code == 403
    ident = as_tenant(tokens["acme"], "POST", source=source).json()["id"]
    assert as_tenant(tokens["acme"], "GET", f"/{ident}").status_code == 200
    assert as_tenant(tokens[""], "GET", f"/{ident}").status_code == 404
    assert as_tenant(tokens[""], "GET").json()["jobs"] == []
    assert list(store.jobs.rows()) == []
    refused = as_tenant(bound, "POST")
    assert refused.status_code == 403
    assert "bound to names" in refused.text


def test_only_sources_whose_connections_are_judged_are_open(store: LmdbStore) -> None:
    """D2: hdfs-native connects by itself, wherever an address leads."""
    policy = SourcePolicy(None, ())
    app = create_app(
        store, ServerSettings(), jobs=SourceRules(policy, EgressPolicy()), sink=lambda _: None
    )
    for scheme in ("https", "casync", "casync+http", "webhdfs", "swebhdfs", "ais"):
        assert made(app, source=f"{scheme}://host.example.com/a/b/c")["state"] == "queued"
    refused = ask(app, "POST", "/v1/jobs", json=JOB | {"source": "hdfs://host.example.com/a"})
    assert refused.status_code == 403


def test_the_clock_of_a_job_is_the_servers(app: FastAPI) -> None:
    assert abs(made(app)["created_time"] - time.time()) < 3600


def test_a_plan_connects_only_where_a_job_may(store: LmdbStore) -> None:
    """D5: as the runner does, which checks each address when it connects."""
    rules = SourceRules(SourcePolicy(None, ()), EgressPolicy())
    app = create_app(store, ServerSettings(), jobs=rules, sink=lambda _: None)
    with ScriptedServer(lambda asked: reply(200)) as server:
        for source in (f"{server.url}/a/", "http://169.254.169.254/a/", "file:///etc/"):
            answer = ask(app, "POST", "/v1/jobs/plan", json={"source": source, "destination": "d/"})
            assert answer.status_code == 403, source
        assert server.asked == []
    answer = ask(app, "POST", "/v1/jobs/plan", json=JOB | {"list_hash": "0" * 64})
    assert answer.status_code == 400
    assert list(store.jobs.rows()) == []
    local = {"source": "http://h/", "destination": "d/", "objects": [{"url": "file:///etc/fstab"}]}
    (found,) = ask(app, "POST", "/v1/jobs/plan", json=local).json()["objects"]
    assert (found["action"], "no such local path" in found["reason"]) == ("fail", True)
    planned = ask(app, "POST", "/v1/jobs/plan", json=JOB)
    for secret in ("me:pw", "abc", "secret"):
        assert secret not in planned.text
    assert len(planned.json()["objects"]) == 10


def test_plans_take_turns(app: FastAPI) -> None:
    jobs = app.state.service.jobs
    busy = dataclasses.replace(jobs, planning=asyncio.Semaphore(0), wait=0.01)
    app.state.service.jobs = busy
    refused = ask(app, "POST", "/v1/jobs/plan", json=JOB)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    assert "too many plans of jobs at once" in refused.text
    assert ask(app, "POST", "/v1/jobs", json=JOB).status_code == 200
    app.state.service.jobs = jobs
    assert ask(app, "POST", "/v1/jobs/plan", json=JOB).status_code == 200


@pytest.mark.parametrize(("asked", "allowed"), [(3600.0, 20.0), (5.0, 5.0)])
def test_a_request_of_a_plan_waits_no_longer_than_the_plan(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, asked: float, allowed: float
) -> None:
    """A source that does not answer keeps a thread, and closing it ends no connect."""
    seen: list[float] = []
    whole = SourceRules.open

    def opened(rules: SourceRules, namespace: str, spec: JobSpec) -> JobSources:
        seen.append(spec.timeout)
        return whole(rules, namespace, spec)

    monkeypatch.setattr(SourceRules, "open", opened)
    answer = ask(app, "POST", "/v1/jobs/plan", json=JOB | {"timeout": asked})
    assert (answer.status_code, seen) == (200, [allowed])
