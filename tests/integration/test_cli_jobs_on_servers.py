"""`download` and `job` with `--server`: jobs that run on a server, with a token."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from casync.names.token import TokenScope
from casync.store.lmdb.store import LmdbStore
from tests.support.program import Program
from tests.support.serving import serving
from tests.support.web_servers import http_server

OBJECTS = {f"{number:02}": bytes([number]) * 5000 for number in range(1, 11)}
ID = re.compile(r"dnl-[0-9a-z]{9}")


class World(NamedTuple):
    """A web server, and a server that runs jobs."""

    program: Program
    source: str
    options: list[str]
    store: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    for path in ("home", "web"):
        (folder / path).mkdir()
    for name, data in OBJECTS.items():
        (folder / "web" / name).write_bytes(data)
        os.utime(folder / "web" / name, (1_600_000_000, 1_600_000_000))
    store = folder / "store"
    with LmdbStore.open(store, create=True) as opened:
        token, _ = opened.tokens.issue(TokenScope.JOBS)
    secret = folder / "home/token"
    secret.write_text(token)
    secret.chmod(0o600)
    with http_server(folder / "web") as source, serving(store, jobs=True) as server:
        options = ["--server", server.url, "--token-file", str(secret)]
        yield World(Program(folder / "home"), source, options, store)


def test_a_download_runs_on_the_server_and_the_command_returns(world: World) -> None:
    template = f"{world.source}/{{01..10}}"
    made = world.program.good("download", template, "set/", *world.options)
    (ident,) = made.lines
    assert ID.fullmatch(ident)
    monitor = f"casync job show {ident} --progress {' '.join(world.options)}"
    assert f"Run `{monitor}` to monitor" in made.err
    waited = world.program.good("job", "wait", ident[4:8], *world.options)
    assert "Done: 10 files downloaded, skipped: 0, errors: 0" in waited.err
    shown = world.program.good("job", "show", ident, "-v", "--json", *world.options).document
    assert (shown["status"], shown["outcome"], shown["finished_cnt"]) == ("finished", "clean", 10)
    assert shown["description"] == f"{template} -> set/"
    assert not world.program.store.exists()
    with LmdbStore.open(world.store, read_only=True) as store:
        assert [record.name for record in store.names("set/")] == [
            f"set/{name}" for name in OBJECTS
        ]


def test_a_download_that_waits_ends_as_its_job(world: World) -> None:
    ran = world.program.run(
        "download", f"{world.source}/{{09..12}}", "some/", "--wait", *world.options
    )
    assert ran.status == 3
    assert "Done: 2 files downloaded, skipped: 0, errors: 2" in ran.err
    assert "some/11: request failed with 404 status code (Not Found)" in ran.err
    (ident,) = ran.lines
    shown = world.program.good("job", "show", ident, *world.options)
    assert "some/12: request failed with 404" in shown.text
    listed = world.program.good("job", "ls", "--regex", "some/", *world.options)
    assert listed.text.startswith(f"{ident}\tFinished\t2\t")


def test_a_list_of_objects_travels_with_the_job(world: World) -> None:
    listed = world.program.home / "list.csv"
    listed.write_text("01,first\n02\nabsent\n")
    ran = world.program.run(
        *("download", f"{world.source}/", "listed/", "--object-list", str(listed), "--wait"),
        *world.options,
    )
    assert ran.status == 3
    assert "Done: 2 files downloaded, skipped: 0, errors: 1" in ran.err
    with LmdbStore.open(world.store, read_only=True) as store:
        found = [record.name for record in store.names("listed/")]
    assert found == ["listed/02", "listed/first"]


def test_a_list_with_one_name_twice_ends_the_job_with_the_reason(world: World) -> None:
    """D3: the runner sees a list that came in parts as a whole."""
    lines = [f'{{"url": "{at}", "name": "n{at % 1700}"}}\n' for at in range(1701)]
    (world.program.home / "twice.jsonl").write_text("".join(lines))
    ran = world.program.run(
        *("download", world.source, "twice/", "--from", "twice.jsonl", "--wait"), *world.options
    )
    assert ran.status == 2
    assert "would have one name, twice/n0" in ran.err
    assert "nothing downloaded, because its objects were not all listed" in ran.err


@pytest.fixture
def plain_page(world: World) -> Iterator[None]:
    """A folder that the web server shows as a page, while a test runs: others list the root."""
    folder = world.program.home.parent / "web/plain"
    folder.mkdir()
    (folder / "index.html").write_text("<p>no listing</p>")
    yield
    shutil.rmtree(folder)


@pytest.mark.usefixtures("plain_page")
@pytest.mark.parametrize(
    ("source", "code", "status"),
    [("nothing/", "not-found", 9), ("01/", "not-found", 9), ("plain/", "usage", 2)],
)
def test_a_source_that_cannot_be_listed_ends_a_job_alike_here_and_there(
    world: World, source: str, code: str, status: int
) -> None:
    """D9: the row and its document keep the code of the error."""
    command = ["download", f"{world.source}/{source}", "alike/", "--wait"]
    here = world.program.run(*command)
    there = world.program.run(*command, *world.options)
    assert (here.status, there.status) == (status, status)
    (ident,) = there.lines
    shown = world.program.good("job", "show", ident, "--json", *world.options).document
    assert (shown["status"], shown["failure_code"]) == ("aborted", code)
    assert world.program.run("job", "wait", here.lines[0]).status == status


def test_progress_is_documents_with_json(world: World) -> None:
    ran = world.program.good(
        *("download", f"{world.source}/01", "one", "--progress", "--json"),
        *("--limit", "1M", "--progress-interval", "100ms"),
        *world.options,
    )
    assert '"status": "finished"' in ran.lines[-1]


def test_jobs_of_a_server_are_stopped_started_and_removed(world: World) -> None:
    # 17 KB may come at once, a minute's worth; the rest of 50 KB takes two minutes.
    source, limit = f"{world.source}/{{01..10}}", ["--limit-bph", "1M"]
    made = world.program.good("download", source, "slow/", *limit, *world.options)
    (ident,) = made.lines
    stopped = world.program.good("job", "stop", ident, *world.options)
    assert stopped.text in (f"{ident}\tstopping\n", f"{ident}\taborted\n")
    waited = world.program.run("job", "wait", ident, *world.options)
    assert waited.status == 11
    assert f"casync job start {ident} --server {world.options[1]}" in waited.err
    again = world.program.good("download", source, "slow/", "--wait", *world.options)
    assert again.lines == [ident]
    assert world.program.run("job", "start", ident, *world.options).status == 2
    assert world.program.good("job", "rm", ident, *world.options).lines == [ident]
    assert world.program.run("job", "show", ident, *world.options).status == 9


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["download", "/etc/passwd", "x"], 8, "--import-root"),
        (["download", "gs://bucket/x", "x"], 8, "CASYNC_SERVE_JOB_CLOUDS"),
        (["download", "https://h/x", "x", "--sync"], 2, "not listed"),
        (["job", "show", "dnl-000000000"], 9, "no job"),
        (["job", "start", "zzz"], 9, "no job"),
    ],
)
def test_what_a_server_refuses_is_said(
    world: World, arguments: list[str], status: int, said: str
) -> None:
    ran = world.program.run(*arguments, *world.options)
    assert (ran.status, said in ran.err) == (status, True), ran.err


def test_a_local_job_needs_no_server_and_takes_no_options_for_one(world: World) -> None:
    ran = world.program.run("job", "ls", *world.options[2:])
    assert ran.status == 2
    assert "--server" in ran.err


def test_a_token_that_may_only_write_runs_no_jobs(world: World) -> None:
    with LmdbStore.open(world.store) as store:
        token, _ = store.tokens.issue(TokenScope.WRITE)
    weak = world.program.home / "weak"
    weak.write_text(token)
    weak.chmod(0o600)
    ran = world.program.run("job", "ls", *world.options[:2], "--token-file", str(weak))
    assert ran.status == 8
    assert "of the scope jobs" in ran.err


def test_get_fetches_through_the_server(world: World) -> None:
    target = world.program.home / "out"
    url = f"{world.source}/03"
    for unchanged in (False, True):
        ran = world.program.good(
            "get", url, "--name", "three", "-o", str(target), "--json", *world.options
        )
        assert target.read_bytes() == OBJECTS["03"]
        fields = ran.document
        assert (fields["name"], fields["version"], fields["length"]) == ("three", 1, 5000)
        assert fields["unchanged"] == unchanged
    assert world.program.good("get", url, "--name", "three", *world.options).lines == [
        fields["manifest"]
    ]
    for arguments, status, said in (
        ([url], 2, "--name"),
        ([f"{world.source}/", "--name", "x"], 2, "several objects"),
        ([f"{world.source}/none", "--name", "x"], 9, "404"),
        (["http://10.0.0.1/x", "--name", "x"], 8, "does not connect to 10.0.0.1"),
    ):
        refused = world.program.run("get", *arguments, *world.options)
        assert (refused.status, said in refused.err) == (status, True), refused.err


def test_a_server_plans_a_job_and_makes_none(world: World) -> None:
    """D5: `--dry-run` with a listing, a template and a list."""
    before = {line.split("\t")[0] for line in world.program.good("job", "ls", *world.options).lines}
    plan = ["download", f"{world.source}/{{01..03}}", "plan/", "--dry-run", *world.options]
    fetch = [f"fetch\t\tplan/{at}\t{world.source}/{at}" for at in ("01", "02", "03")]
    assert world.program.good(*plan).lines == fetch
    (world.program.home / "few").write_text("01\n02\nftp://h/x\n03\n")
    listed = ["download", f"{world.source}/", "plan/", "--from", "few", "--dry-run"]
    assert world.program.good(*listed, *world.options, "--part", "2/2").lines == fetch[1:]
    planned = world.program.run(*listed, *world.options, "--json")
    assert (planned.status, planned.problem["code"]) == (3, "partial")
    document = planned.document
    assert document["more"] is False
    assert [one["action"] for one in document["objects"]] == ["fetch", "fetch", "fail", "fetch"]
    assert document["objects"][2]["reason"]
    folder = ["download", f"{world.source}/", "plan/", "--dry-run", *world.options]
    assert set(fetch) < set(world.program.good(*folder).lines)
    refused = world.program.run(*folder[:1], "/etc/", *folder[2:])
    assert (refused.status, "reads no such local path" in refused.err) == (8, True)
    nothing = world.program.run(*folder[:1], f"{world.source}/absent/", *folder[2:])
    assert nothing.status == 9
    after = world.program.good("job", "ls", *world.options).lines
    assert {line.split("\t")[0] for line in after} == before


def test_a_long_plan_of_a_server_says_that_it_is_the_beginning(world: World) -> None:
    template = f"{world.source}/{{0000..1500}}"
    ran = world.program.good("download", template, "plan/", "--dry-run", *world.options)
    assert len(ran.lines) == 1000
    assert "This is the beginning" in ran.err
    (world.program.home / "many").write_text("".join(f"{at}\n" for at in range(3000)))
    command = ["download", f"{world.source}/", "plan/", "--from", "many", "--dry-run", "--json"]
    document = world.program.good(*command, *world.options).document
    assert (document["more"], len(document["objects"])) == (True, 1000)
