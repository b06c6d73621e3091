"""`download` as a user runs it, from web servers that run for the test."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import random
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.certificates import tool
from tests.support.held_server import held_server
from tests.support.program import Program, read_until, terminal_of
from tests.support.web_servers import http_server, nginx

SHARDS = {
    f"abc/shard-{number:03}.tar": random.Random(number).randbytes(20_000 + number)
    for number in range(1, 11)
}
HALVES = {f"big/{number}": random.Random(number).randbytes(1_000_000) for number in (1, 2, 3)}
LONG_AGO = 1_700_000_000
ID = re.compile(r"dnl-[0-9a-z]{9}")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    home = tmp_path / "home"
    home.mkdir()
    return Program(home)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that is served: ten shards of last year."""
    folder = tmp_path / "served"
    for name, data in SHARDS.items():
        put(folder / name, data)
    return folder


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    with http_server(folder) as url:
        yield url


def put(path: Path, data: bytes, time: int = LONG_AGO) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (time, time))


def names(program: Program) -> list[str]:
    return [line.split("\t")[1] for line in program.good("ls").lines]


def test_a_range_is_downloaded_into_a_folder_of_names(program: Program, url: str) -> None:
    """D1, D3, D4, H3."""
    ran = program.good("start", "download", f"{url}/abc/shard-{{001..010}}.tar", "abc/")
    (ident,) = ran.lines
    assert ID.fullmatch(ident)
    assert ran.err.splitlines() == [
        f"Run `casync job show {ident} --progress` to monitor the progress of downloading.",
        "Done: 10 files downloaded, skipped: 0, errors: 0",
    ]
    assert names(program) == sorted(SHARDS)
    sizes = [int(line.split("\t")[1]) for line in program.good("ls", "-l", "abc/").lines]
    assert sizes == [len(data) for data in SHARDS.values()]
    for name in list(SHARDS)[::4]:
        assert program.good("cat", name).out == SHARDS[name]
    assert program.good("show", "job", "download", ident).lines == [
        "Done: 10 files downloaded, skipped: 0, errors: 0"
    ]


def test_a_single_object_gets_the_name_that_is_given(program: Program, url: str) -> None:
    """D1, D4."""
    program.good("download", f"{url}/abc/shard-001.tar", "ubuntu/18.04.iso")
    program.good("job", "start", "download", f"{url}/abc/shard-002.tar", "ubuntu/")
    assert names(program) == ["ubuntu/18.04.iso", "ubuntu/shard-002.tar"]


def test_objects_that_fail_are_listed_and_the_others_are_here(program: Program, url: str) -> None:
    """D9, D10."""
    ran = program.run("download", f"{url}/abc/shard-{{008..013}}.tar", "abc/", "--wait")
    assert ran.status == 3
    ident = ran.lines[0]
    failed = [
        f"abc/shard-{number:03}.tar: request failed with 404 status code (Not Found)"
        for number in (11, 12, 13)
    ]
    assert ran.err.splitlines()[1:-1] == [
        "Done: 3 files downloaded, skipped: 0, errors: 3",
        *(f"  {line}" for line in failed),
    ]
    assert "3 of 6 objects failed" in ran.err
    assert f"`casync job show {ident} -v`" in ran.err
    assert program.good("job", "show", ident).lines[1:] == [
        "Errors:",
        *(f"\t{line}" for line in failed),
    ]
    (job,) = program.good("job", "ls", "--json").document["jobs"]
    assert (job["outcome"], job["finished_cnt"], job["error_cnt"]) == ("partial", 3, 3)


def test_what_is_unchanged_is_skipped_and_what_changed_is_updated(
    program: Program, folder: Path, tmp_path: Path
) -> None:
    """D11, with nginx."""
    tool("nginx", "nginx")
    with nginx(folder, tmp_path / "nginx") as url:
        program.good("download", f"{url}/abc/", "abc/")
        again = program.good("download", f"{url}/abc/", "abc/")
        assert "Done: 0 files downloaded, skipped: 10, errors: 0" in again.err
        put(folder / "abc/shard-003.tar", b"changed", LONG_AGO + 5)
        changed = program.good("download", f"{url}/abc/", "abc/")
        assert "Done: 1 file downloaded, skipped: 9, errors: 0" in changed.err
    assert program.good("cat", "abc/shard-003.tar").out == b"changed"


def test_sync_removes_what_is_gone_within_a_bound(program: Program, url: str, folder: Path) -> None:
    """D6."""
    program.good("download", f"{url}/abc/", "abc/")
    program.good("prepare", "--name", "abc/own", stdin=b"not from there")
    for number in (4, 5):
        (folder / f"abc/shard-{number:03}.tar").unlink()
    sync = ["download", f"{url}/abc/", "abc/", "--sync"]
    planned = program.good(*sync, "--dry-run")
    assert [line for line in planned.lines if line.startswith("remove")] == [
        "remove\t\tabc/shard-004.tar\t",
        "remove\t\tabc/shard-005.tar\t",
    ]
    assert "8 objects to ask the source about; 2 names to remove" in planned.err
    assert len(names(program)) == 11
    bounded = program.run(*sync, "--max-delete", "1")
    assert bounded.status == 3
    assert "more than 1 name would be removed" in bounded.err
    assert len(names(program)) == 11
    ran = program.good(*sync)
    assert "Done: 0 files downloaded, skipped: 8, removed: 2, errors: 0" in ran.err
    assert set(SHARDS) - set(names(program)) == {"abc/shard-004.tar", "abc/shard-005.tar"}
    assert "abc/own" in names(program)


@pytest.mark.parametrize("option", ["--object-list", "--from"])
def test_a_list_says_what_to_download(program: Program, url: str, option: str) -> None:
    """D5, D7."""
    listed = json.dumps(["abc/shard-003.tar", "abc/shard-007.tar"]).encode()
    ran = program.good("download", url, "lpr/", option, "-", stdin=listed)
    assert names(program) == ["lpr/abc/shard-003.tar", "lpr/abc/shard-007.tar"]
    document = program.good("job", "show", ran.lines[0], "--json").document
    assert document["description"] == "multi-download -> lpr/"


def test_lists_give_names_and_checksums(program: Program, url: str) -> None:
    """D7."""
    (program.home / "map.json").write_text(json.dumps({"one/x": f"{url}/abc/shard-001.tar"}))
    program.good("download", url, "map/", "--object-list", "map.json")
    (program.home / "rows.csv").write_text(f"{url}/abc/shard-002.tar,two\n")
    program.good("download", url, "csv/", "--object-list", "rows.csv")
    name = "abc/shard-003.tar"
    entry = {"url": name, "md5": hashlib.md5(SHARDS[name], usedforsecurity=False).hexdigest()}
    (program.home / "sums").write_text(json.dumps(entry))
    program.good("download", url, "sums/", "--object-list", "sums", "--flatten")
    assert names(program) == ["csv/two", "map/one/x", "sums/shard-003.tar"]


def test_several_hosts_share_the_objects(program: Program, url: str) -> None:
    """D5: each downloads its part, and all of them everything."""
    for part in (1, 2, 3):
        program.good("download", f"{url}/abc/", "abc/", "--part", f"{part}/3")
    counts = [job["total"] for job in program.good("job", "ls", "--json").document["jobs"]]
    assert sum(counts) == 10
    assert names(program) == sorted(SHARDS)


def test_a_stopped_job_says_how_to_go_on_and_goes_on(program: Program) -> None:
    """D9, D12."""
    with held_server(HALVES) as server:
        command = ["download", f"{server.url}/big/{{1..3}}", "big/"]
        with program.start(*command) as process:
            assert process.stdout is not None
            ident = process.stdout.readline().decode().strip()
            assert program.good("job", "stop", ident).lines == [f"{ident}\tstopping"]
            _, err = process.communicate(timeout=60)
        assert process.returncode == 11
        assert b"download was aborted" in err
        assert f"`casync job start {ident}` continues it".encode() in err
        assert program.run("job", "wait", ident).status == 11
        server.go()
        assert program.good(*command).lines == [ident]
    assert names(program) == sorted(HALVES)
    assert program.good("job", "wait", ident).status == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_job_goes_on_after_ctrl_c_and_after_a_kill(
    program: Program, number: signal.Signals
) -> None:
    """D12."""
    with held_server(HALVES) as server:
        command = ["download", f"{server.url}/big/{{1..3}}", "big/", "--progress-interval", "100ms"]
        with program.start(*command) as process:
            assert process.stderr is not None
            read_until(process.stderr.fileno(), b"MiB")
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        ident = out.decode().strip()
        if number == signal.SIGINT:
            assert process.returncode == 130
            assert f"The same command, or `casync job start {ident}`, continues it" in err.decode()
        assert program.good("job", "ls").lines[0].split("\t")[1] == "Interrupted"
        server.go()
        assert program.good("job", "start", ident, "--json").document["outcome"] == "clean"
    for name, data in HALVES.items():
        assert program.good("cat", name).out == data
    finished = program.run("job", "start", ident)
    assert (finished.status, "is finished" in finished.err) == (2, True)


def test_a_job_that_another_process_runs_is_not_run_twice(program: Program) -> None:
    """D12."""
    with held_server(HALVES) as server:
        command = ["download", f"{server.url}/big/{{1..3}}", "big/"]
        with program.start(*command) as process:
            assert process.stdout is not None
            ident = process.stdout.readline().decode().strip()
            ran = program.run(*command)
            assert (ran.status, f"job {ident} is running" in ran.err) == (7, True)
            process.kill()


def test_progress_is_lines_or_documents_without_a_terminal(program: Program) -> None:
    """D5, D8."""
    with held_server(HALVES) as server:
        command = ["download", f"{server.url}/big/{{1..3}}", "--progress-interval", "100ms"]
        with program.start(*command, "one/") as process:
            assert process.stderr is not None
            read_until(process.stderr.fileno(), b"\nDownload progress: 0/3 (0.00%), 1.43 MiB")
            with program.start(*command, "two/", "--progress", "--json") as documents:
                assert documents.stdout is not None
                first = json.loads(documents.stdout.readline())
                while not json.loads(documents.stdout.readline())["current_tasks"]:
                    pass
                server.go()
                rest, _ = documents.communicate(timeout=60)
            _, err = process.communicate(timeout=60)
    assert err.splitlines()[-1] == b"Done: 3 files downloaded, skipped: 0, errors: 0"
    assert (first["schema"], first["status"]) == ("casync.job/1", "running")
    last = json.loads(rest.splitlines()[-1])
    assert (last["status"], last["outcome"], last["id"]) == ("finished", "clean", first["id"])


def test_quiet_prints_only_the_id(program: Program, url: str) -> None:
    """D5."""
    ran = program.good("download", f"{url}/abc/", "abc/", "-q")
    assert ID.fullmatch(ran.text.strip())
    assert ran.err == ""


@pytest.mark.parametrize("columns", [60, 80])
def test_bars_of_a_download_fit_the_terminal(program: Program, columns: int) -> None:
    """D8."""
    objects = {
        f"big/imagenet_train-{number:06}.tgz": random.Random(number).randbytes(1_000_000)
        for number in range(3)
    }
    ours, theirs = terminal_of(columns)
    with held_server(objects) as server:
        template = f"{server.url}/big/imagenet_train-{{000000..000002}}.tgz"
        with program.start(
            "download", template, "lpr/imagenet/", stdin=theirs, stdout=theirs, stderr=theirs
        ) as process:
            os.close(theirs)
            screen, drawn = b"", ""
            while drawn.count("488 KiB/977 KiB") < 3:
                screen += read_until(ours, b"\r\x1b")
                drawn = re.split(r"\x1b?\[[KJ]", screen.decode())[-1].removesuffix("\r\x1b")
            server.go()
            end = read_until(ours, b"errors: 0").decode()
            assert process.wait(60) == 0
    os.close(ours)
    assert drawn.startswith("Files downloaded: 0/3  [")
    assert re.findall(r"train-(\d+)\.tgz", drawn) == ["000000", "000001", "000002"]
    assert max(map(len, drawn.splitlines())) < columns
    assert end.rstrip().endswith("Done: 3 files downloaded, skipped: 0, errors: 0")


def test_a_plan_changes_nothing(program: Program, url: str) -> None:
    """D5."""
    command = ["download", f"{url}/abc/shard-{{001..002}}.tar", "abc/", "--dry-run"]
    assert program.good(*command).lines == [
        f"fetch\t\tabc/shard-00{number}.tar\t{url}/abc/shard-00{number}.tar" for number in (1, 2)
    ]
    assert not program.store.exists()
    document = program.good(*command, "--json").document
    assert (document["fetch"], len(document["objects"])) == (2, 2)


def test_a_job_whose_list_cannot_be_read_says_what_becomes_of_it(
    program: Program, url: str
) -> None:
    """D4, D12."""
    listed = program.home / "list"
    listed.write_text('["abc/shard-001.tar", 5]')
    command = ["download", f"{url}/", "n/", "--from", "list", "--wait"]
    ran = program.run(*command)
    (ident,) = ran.lines
    assert (ran.status, f"`casync job rm {ident}` removes this job" in ran.err) == (2, True)
    assert "`casync job rm" in program.good("job", "show", ident).text
    again = program.run("job", "start", ident)
    assert (again.status, "with its list" in again.err) == (2, True)
    listed.write_text('["abc/shard-001.tar"]')
    assert program.good(*command).lines != [ident]
    program.good("job", "rm", ident)


def test_a_plan_has_addresses_as_they_are_requested_and_reasons(
    program: Program, url: str, folder: Path
) -> None:
    """D5: the column can be given to `curl`."""
    put(folder / "new dir/\u00e9 1?.tar", b"1")
    (line,) = program.good("download", f"{url}/new dir/", "n/", "--dry-run").lines
    assert line.split("\t")[2:] == ["n/\u00e9 1?.tar", f"{url}/new%20dir/%C3%A9%201%3F.tar"]
    (program.home / "list").write_text("abc/x\nftp://host/y\n")
    command = ["download", f"{url}/", "n/", "--from", "list", "--dry-run"]
    planned = program.run(*command)
    assert planned.status == 3
    assert planned.lines[1] == "fail\t\tn/y\tftp://host/y\tftp:// is not supported"
    objects = program.run(*command, "--json").document["objects"]
    assert [each["reason"] for each in objects] == [None, "ftp:// is not supported"]


def test_two_objects_with_one_name_are_refused_before_anything_moves(
    program: Program, url: str, folder: Path
) -> None:
    """D3."""
    put(folder / "a/x", b"1")
    put(folder / "b/x", b"2")
    ran = program.run("download", f"{url}/", "all/", "--flatten")
    assert ran.status == 2
    assert "would have one name, all/x" in ran.err
    assert names(program) == []
    planned = program.run("download", f"{url}/", "all/", "--flatten", "--dry-run")
    assert "several objects would have the name all/x" in planned.err


def test_a_local_folder_is_a_source(program: Program, folder: Path) -> None:
    """D2."""
    program.good("download", f"{folder}/abc/", "abc/")
    program.good("download", f"file://{folder}/abc/shard-001.tar", "one")
    assert names(program) == sorted([*SHARDS, "one"])


class Guarded(http.server.SimpleHTTPRequestHandler):
    """Answers only requests with the right key, and remembers the others."""

    refused: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if self.headers["X-Key"] != "open sesame":
            self.refused.append(self.path)
            self.send_error(403)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


def test_headers_are_sent_and_never_shown(program: Program, folder: Path) -> None:
    """D5."""

    def handler(*arguments: object) -> Guarded:
        return Guarded(*arguments, directory=str(folder))  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}/abc/shard-{{001..003}}.tar"
        (program.home / "key").write_text("X-Key: open sesame\n")
        try:
            ran = program.good("download", url, "abc/", "--header", "@key")
            shown = program.good("job", "show", ran.lines[0], "-v")
            assert program.run("download", url, "other/").status == 3
        finally:
            server.shutdown()
    assert "X-Key" in shown.text
    assert "sesame" not in shown.text + shown.err + ran.err
    assert b"sesame" not in (program.store / "data.mdb").read_bytes()
    assert len(Guarded.refused) == 3
