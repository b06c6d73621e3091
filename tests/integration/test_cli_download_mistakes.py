"""`download` and `get` with a source that is wrong, and what a user is told to do next."""

from __future__ import annotations

import http.server
import re
import signal
import ssl
import threading
from functools import partial
from pathlib import Path

import pytest

from tests.support.certificates import make_authority, make_certificate
from tests.support.held_server import held_server
from tests.support.program import Program, read_until


@pytest.fixture
def program(tmp_path: Path) -> Program:
    home = tmp_path / "home"
    home.mkdir()
    return Program(home)


@pytest.mark.parametrize(
    ("source", "status", "said"),
    [
        ("ftp://h/a", 2, "ftp:// is not supported"),
        ("ftp://h/a/", 2, "ftp:// is not supported"),
        ("ftp://h/{1..3}", 2, "ftp:// is not supported"),
        ("/nowhere/", 9, "there is no folder /nowhere"),
        ("/nowhere/file", 9, "there is no folder /nowhere"),
        ("file:///nowhere/x*", 9, "there is no folder /nowhere"),
    ],
)
def test_a_source_that_cannot_be_opened_leaves_no_job_and_a_plan_ends_alike(
    program: Program, source: str, status: int, said: str
) -> None:
    """D1, D5."""
    planned = program.run("download", source, "a/", "--dry-run")
    ran = program.run("download", source, "a/")
    assert (planned.status, ran.status, planned.lines, ran.lines) == (status, status, [], [])
    assert planned.err == ran.err
    assert said in ran.err
    assert program.good("job", "ls").lines == []


def test_each_folder_of_a_template_may_be_missing(program: Program) -> None:
    """D3: only its objects fail."""
    (program.home / "2").mkdir()
    (program.home / "2/x").write_bytes(b"here")
    template = f"{program.home}/{{1..2}}/x"
    planned = program.run("download", template, "a/", "--dry-run")
    assert planned.status == 3
    assert [line.split("\t")[0] for line in planned.lines] == ["fail", "fetch"]
    assert "1 of 2 objects would fail. The plan has the reasons." in planned.err
    assert program.run("download", template, "a/").status == 3
    assert program.good("cat", "a/2/x").out == b"here"


def test_a_job_is_continued_with_the_authorities_of_its_download(
    program: Program, tmp_path: Path
) -> None:
    """D12: options for the source are given again, since a job keeps none of them."""
    ca = str(make_authority(tmp_path / "tls"))
    certificate, key = make_certificate(tmp_path / "tls", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    (program.home / "served").mkdir()
    (program.home / "served/x").write_bytes(b"data")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=program.home / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever).start()
        try:
            # Without a scheme it is https, too.
            command = ["download", f"localhost:{server.server_port}/", "a/"]
            (ident,) = program.run(*command).lines
            assert program.run("job", "start", ident).status == 5
            program.good("job", "start", ident, "--ca", ca)
            again = program.good(*command, "--ca", ca)
        finally:
            server.shutdown()
    assert "errors: 0" in again.err
    assert program.good("cat", "a/x").out == b"data"


def test_options_for_servers_are_refused_where_a_job_has_none(program: Program) -> None:
    (program.home / "folder").mkdir()
    ran = program.run("download", f"{program.home}/folder/", "a/")
    refused = program.run("job", "start", ran.lines[0], "--ca", "ca.pem")
    assert (refused.status, "--ca: options for servers need a server" in refused.err) == (2, True)


def test_a_get_that_is_interrupted_says_what_continues(program: Program) -> None:
    """H1."""
    with held_server({"x": bytes(10_000_000)}) as server:
        with program.start("get", f"{server.url}/x", "--progress") as process:
            assert process.stderr is not None
            read_until(process.stderr.fileno(), b"reading")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        said = "interrupted. The same command starts over; a `casync download` can be continued."
        assert said in err.decode()


def test_what_continues_a_download_has_the_options_that_reach_its_source(
    program: Program, tmp_path: Path
) -> None:
    """D12."""
    ca = make_authority(tmp_path / "an authority")
    with (
        held_server({"x": bytes(10_000_000)}) as server,
        program.start("download", f"{server.url}/x", "x", "--ca", ca) as process,
    ):
        assert process.stdout is not None
        ident = process.stdout.readline().decode().strip()  # the next step is known by then
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert f"`casync job start {ident} --ca '{ca}'`, continues it" in err.decode()


def test_a_job_whose_id_cannot_be_printed_is_named_and_continued(program: Program) -> None:
    (program.home / "src").mkdir()
    (program.home / "src/a").write_bytes(b"1")
    with (
        open("/dev/full", "wb") as full,
        program.start("download", f"{program.home}/src/", "n/", stdout=full) as process,
    ):
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    (again,) = re.findall("`casync (job start dnl-[0-9a-z]{9})`, continues it", err.decode())
    assert program.good(*again.split()).lines == [again.split()[-1]]
    assert len(program.good("ls").lines) == 1


def test_a_job_that_ended_before_its_output_failed_is_not_said_to_go_on(program: Program) -> None:
    (program.home / "src").mkdir()
    (program.home / "src/a").write_bytes(bytes(4_000_000))
    source, pace = f"{program.home}/src/", ("--limit", "1M", "--progress-interval", "1s")
    with (
        open("/dev/full", "wb") as full,
        program.start("download", source, "n/", "--json", "--progress", *pace, stdout=full) as run,
    ):
        _, err = run.communicate(timeout=60)
    assert (run.returncode, b"continues it" in err) == (1, False)
    assert len(program.good("ls").lines) == 1


def test_where_no_job_is_like_an_id_the_list_is_named(program: Program) -> None:
    program.good("prepare", "--name", "n", stdin=b"1")
    failed = program.run("job", "show", "nothing")
    assert (failed.status, "With the same options, `casync job ls`" in failed.err) == (9, True)
