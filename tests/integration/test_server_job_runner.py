"""Jobs that a server runs: what they fetch, what they may not, and that they outlive processes."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from casync.ids import ManifestId
from casync.jobs.job import JobState
from casync.jobs.spec import JobSpec, SourceKind
from casync.names.token import TokenScope
from casync.store.lmdb.namespaces import establish, open_namespace
from casync.store.lmdb.store import LmdbStore
from tests.support.preparing import content_of
from tests.support.serving import Server, serving, until

COUNT = 40
SIZE = 60_000
FILES = {f"{number:02}.bin": bytes([number]) * SIZE for number in range(COUNT)}


class Gate:
    """Lets the objects below `/gated/` through up to a number, and no further."""

    def __init__(self) -> None:
        self._open = threading.Condition()
        self._most = 0

    def let(self, most: int) -> None:
        """Lets objects with lower numbers through."""
        with self._open:
            self._most = most
            self._open.notify_all()

    def wait(self, number: int) -> None:
        """Waits until an object may pass."""
        with self._open:
            assert self._open.wait_for(lambda: number < self._most, 120)


GATE = Gate()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; `/away` leads to a private address, and `/gated/NN.bin` through the gate."""

    def log_request(self, *_: object) -> None:
        """Logs nothing."""

    def do_GET(self) -> None:
        """Answers a request."""
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "http://10.255.255.1/secret")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path.startswith("/gated/"):
            self.path = self.path.removeprefix("/gated")
            GATE.wait(int(self.path[1:3]))
        with contextlib.suppress(ConnectionError):  # the client was killed
            super().do_GET()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A web server on loopback with FILES."""
    folder = tmp_path_factory.mktemp("web")
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
        os.utime(folder / name, (1_600_000_000, 1_600_000_000))
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    GATE.let(COUNT)
    server.shutdown()
    thread.join()
    server.server_close()


class Jobs(NamedTuple):
    """The jobs of a server, for one token."""

    server: Server
    token: str = ""

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        url = f"{self.server.url}/v1/jobs{path}"
        return httpx.request(method, url, headers=headers, timeout=30, **arguments)

    def make(self, source: str, **changes: Any) -> str:
        answer = self.ask("POST", "", json={"source": source} | changes)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def show(self, ident: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/{ident}").json()
        return found

    def end(self, ident: str) -> dict[str, Any]:
        until(lambda: self.show(ident)["state"] in ("finished", "aborted"), "the job ends")
        return self.show(ident)

    def faults(self, ident: str) -> list[tuple[str, str]]:
        errors = self.ask("GET", f"/{ident}/errors").json()["errors"]
        return [(each["kind"], each["error"]) for each in errors]


def contents(store: LmdbStore, prefix: str) -> dict[str, bytes]:
    return {
        record.name.removeprefix(prefix): content_of(store, ManifestId(record.manifest))
        for record in store.names(prefix)
    }


def runner_of(server: Server) -> int:
    """The pid of the process that runs jobs."""
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    for pid in " ".join(path.read_text() for path in tasks).split():
        if b"job_runner" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    raise AssertionError("no runner")


class Place(NamedTuple):
    """A server that runs jobs, with a token for each of two namespaces."""

    path: Path
    imports: Path
    jobs: Jobs
    acme: Jobs
    local: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("jobs")
    imports = folder / "import"
    (imports / "in").mkdir(parents=True)
    (imports / "in/file").write_bytes(b"inside")
    (folder / "secret").write_bytes(b"outside")
    (imports / "in/link").symlink_to(folder / "secret")
    (imports / "out").symlink_to(folder)
    with LmdbStore.open(folder / "store", create=True) as store:
        establish(store, "acme")
        scope = TokenScope.JOBS
        tokens = [store.tokens.issue(scope, namespace=name)[0] for name in ("", "acme")]
        local = store.jobs.create(JobSpec(f"{folder}/", "local/", SourceKind.LISTING), 5).id
    options: dict[str, Any] = {
        "jobs": True,
        "import_root": str(imports),
        "audit_log": str(folder / "audit"),
    }
    with serving(folder / "store", **options) as server:
        jobs, acme = (Jobs(server, each) for each in tokens)
        yield Place(folder / "store", imports, jobs, acme, local)


def test_a_server_runs_the_jobs_of_its_namespaces(place: Place, source: str) -> None:
    first = place.jobs.make(f"{source}/{{00..{COUNT - 1}}}.bin", destination="set/")
    second = place.acme.make(f"{source}/", destination="web/", description="all")
    for jobs, ident in ((place.jobs, first), (place.acme, second)):
        job = jobs.end(ident)
        assert (job["state"], job["outcome"]) == ("finished", "clean")
        assert (job["total"], job["finished_cnt"], job["error_cnt"]) == (COUNT, COUNT, 0)
        assert job["bytes"] == COUNT * SIZE
    with LmdbStore.open(place.path, read_only=True) as store:
        assert contents(store, "set/") == FILES
        assert list(store.names("web/")) == []
    with open_namespace(place.path, "acme", read_only=True) as store:
        assert {name: data for name, data in contents(store, "web/").items() if name in FILES}
        assert list(store.names("set/")) == []
    again = place.jobs.make(f"{source}/{{00..{COUNT - 1}}}.bin", destination="set/")
    assert again != first
    assert place.jobs.end(again)["skipped_cnt"] == COUNT


def test_a_job_of_a_local_process_is_left_to_it(place: Place) -> None:
    assert place.jobs.show(place.local)["state"] == "queued"
    with LmdbStore.open(place.path, read_only=True) as store:
        row = store.jobs.find(place.local)
    assert row is not None
    assert (row.state, row.epoch) == (JobState.QUEUED, 0)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://10.255.255.1/x", "10.255.255.1, port 80"),
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254, port 80"),
        ("http://[::ffff:10.0.0.1]:81/x", "port 81"),
        ("http://0.0.0.0:1/x", "0.0.0.0, port 1"),
        ("{source}/away", "10.255.255.1, port 80"),
    ],
)
def test_no_job_reaches_what_only_the_server_reaches(
    place: Place, source: str, address: str, said: str
) -> None:
    ident = place.jobs.make(address.replace("{source}", source), destination="stolen")
    job = place.jobs.end(ident)
    assert (job["outcome"], job["error_cnt"]) == ("failed", 1)
    ((kind, message),) = place.jobs.faults(ident)
    assert kind == "policy"
    assert said in message


def test_local_files_are_read_below_the_import_root_without_following_links(place: Place) -> None:
    good = place.jobs.make(f"{place.imports}/in/", destination="in/")
    assert place.jobs.end(good)["outcome"] == "clean"
    for path in ("in/link", "out/secret"):
        ident = place.jobs.make(f"{place.imports}/{path}", destination="stolen")
        assert place.jobs.end(ident)["outcome"] == "failed"
    through = place.jobs.make(f"{place.imports}/out/", destination="stolen/")
    assert place.jobs.end(through)["state"] == "aborted"
    with LmdbStore.open(place.path, read_only=True) as store:
        assert contents(store, "in/") == {"file": b"inside"}
        assert list(store.names("stolen")) == []


def test_a_client_stops_a_running_job_and_starts_it_again(place: Place, source: str) -> None:
    GATE.let(COUNT // 2)
    template = f"{source}/gated/{{00..{COUNT - 1}}}.bin"
    ident = place.jobs.make(template, destination="slow/")
    until(lambda: place.jobs.show(ident)["finished_cnt"] > 0, "an object is here")
    assert place.jobs.ask("DELETE", f"/{ident}").status_code == 400
    assert place.jobs.ask("POST", f"/{ident}/stop").status_code == 200
    stopped = place.jobs.end(ident)
    assert stopped["state"] == "aborted"
    assert 0 < stopped["finished_cnt"] < COUNT
    GATE.let(COUNT)
    assert place.jobs.ask("POST", f"/{ident}/start").json()["state"] != "aborted"
    job = place.jobs.end(ident)
    assert (job["outcome"], job["finished_cnt"]) == ("clean", COUNT)


def test_the_audit_log_says_who_made_a_job_and_no_secret(place: Place, source: str) -> None:
    secret = {"headers": [["X-Api-Key", "sesame"]]}
    ident = place.jobs.make(f"{source}/00.bin?sig=sesame", destination="audited", **secret)
    place.jobs.end(ident)
    assert place.jobs.ask("DELETE", f"/{ident}").status_code == 200
    log = place.path.parent / "audit"
    until(lambda: f"/v1/jobs/{ident}" in log.read_text(), "the removal is logged")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    made = [line for line in lines if line["path"] == "/v1/jobs"]
    assert {line["method"] for line in made} == {"POST"}
    assert {line["token"] for line in made} <= {
        each.token.split("_")[1] for each in (place.jobs, place.acme)
    }
    written = log.read_text() + "\n".join(place.jobs.server.lines)
    assert "sesame" not in written
    assert "sesame" not in (place.path / "data.mdb").read_bytes().decode("latin-1")


def test_jobs_are_counted_in_the_metrics(place: Place, source: str) -> None:
    place.jobs.end(place.jobs.make(f"{source}/absent", destination="absent"))
    with LmdbStore.open(place.path) as store:
        token, _ = store.tokens.issue(TokenScope.ADMIN)
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{place.jobs.server.url}/metrics"

    def figures() -> dict[str, float]:
        lines = httpx.get(url, headers=headers).text.splitlines()
        pairs = [line.rpartition(" ") for line in lines if line.startswith("casync_job")]
        return {name: float(value) for name, _, value in pairs}

    until(lambda: figures().get('casync_job_faults_total{kind="http"}', 0) >= 1, "it is counted")
    found = figures()
    assert found["casync_job_runners"] == 1
    assert found['casync_job_objects_total{outcome="failed"}'] >= 1
    assert found['casync_jobs_ended_total{outcome="failed"}'] >= 1
    assert "casync_jobs_running" in found


def test_a_job_goes_on_when_its_runner_is_killed_or_the_server_restarts(
    tmp_path: Path, source: str
) -> None:
    """D12: jobs survive what happens to a server."""
    path = tmp_path / "store"
    GATE.let(10)
    with serving(path, jobs=True) as server:
        jobs = Jobs(server)
        template = f"{source}/gated/{{00..{COUNT - 1}}}.bin"
        ident = jobs.make(template, destination="set/", max_conns=2)
        until(lambda: jobs.show(ident)["finished_cnt"] > 0, "some objects are here")
        os.kill(runner_of(server), signal.SIGKILL)
        server.wait_for("the runner of jobs was killed by signal 9")
        GATE.let(20)
        until(lambda: jobs.show(ident)["finished_cnt"] > 10, "it goes on")
        assert server.stop() == 0
    GATE.let(COUNT)
    with LmdbStore.open(path, read_only=True) as store:
        row = store.jobs.find(ident)
        assert row is not None
        assert row.state is JobState.RUNNING
        assert 0 < row.counts.finished < COUNT
        assert not store.jobs.is_running(ident)
    with serving(path, jobs=True) as server:
        jobs = Jobs(server)
        job = jobs.end(ident)
        assert (job["outcome"], job["finished_cnt"], job["total"]) == ("clean", COUNT, COUNT)
        assert server.stop() == 0
    with LmdbStore.open(path, read_only=True) as store:
        assert contents(store, "set/") == FILES
        assert {record.version for record in store.names("set/")} == {1}
