"""Commands with servers: ours, and a hostile one."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.support.program import Program, read_until

OLD = random.Random(1).randbytes(2_000_000)
NEW = OLD[:700_000] + random.Random(2).randbytes(50_000) + OLD[700_000:]
EVIL = "\x1b]0;owned\x07[red]no[/red]\x9b31m"


class Serving:
    """`casync serve` on a free port of this machine."""

    def __init__(self, program: Program, *options: str) -> None:
        self.process = program.start("serve", "--listen", "127.0.0.1:0", "--grace", "5s", *options)
        assert self.process.stderr is not None
        self.first = self.process.stderr.readline().decode()
        match = re.search(r"http://127\.0\.0\.1:\d+", self.first)
        assert match, self.first
        self.url = match[0]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, bytes, str]:
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err.decode()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Program:
    program = Program(tmp_path_factory.mktemp("origin"))
    program.good("prepare", "--name", "vm/1", stdin=OLD)
    program.good("prepare", "--name", "vm/2", stdin=NEW)
    return program


@pytest.fixture(scope="module")
def url(origin: Program) -> Iterator[str]:
    serving = Serving(origin)
    yield serving.url
    serving.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_prints_its_address_and_stops_cleanly(
    origin: Program, number: signal.Signals
) -> None:
    serving = Serving(origin)
    assert str(origin.store) in serving.first
    status, out, _ = serving.stop(number)
    assert (status, out) == (0, b"")


def test_two_servers_cannot_listen_on_one_port(origin: Program, url: str) -> None:
    ran = origin.run("serve", "--listen", url.removeprefix("http://"))
    assert ran.status == 7
    assert "another process" in ran.err


def test_a_version_is_prepared_served_pulled_and_updated(program: Program, url: str) -> None:
    first = program.good("pull", "vm/1", "-o", "vm", "--server", url, "--json").document
    second = program.good("pull", "vm/2", "-o", "vm", "--server", url, "--json").document
    assert (program.home / "vm").read_bytes() == NEW
    assert first["received"] > len(OLD) * 0.9
    assert second["received"] < len(OLD) * 0.15
    assert second["sources"]["seed"] > len(OLD) * 0.9
    count = second["sources"]["seed"]
    assert second["seeds"] == [{"path": str(program.home / "vm"), "bytes": count}]


def test_a_summary_names_the_files_that_chunks_came_from(program: Program, url: str) -> None:
    """What the target was before is not called a seed, which is a file that the user names."""
    server = "--server", url
    program.good("pull", "vm/1", "-o", "vm", *server)
    ran = program.good("pull", "vm/2", "-o", "vm", *server)
    assert re.search(r"^  from the old vm: 1\.\d+ MiB$", ran.err, re.M), ran.err
    (program.home / "vm").rename(program.home / "given")
    ran = program.good("pull", "vm/1", "-o", "new", "--seed", "given", *server)
    assert re.search(r"^  from given: 1\.\d+ MiB$", ran.err, re.M), ran.err
    assert "from seed" not in ran.err


def test_a_pull_to_a_folder_reports_its_seeds_and_deltas(
    program: Program, tmp_path_factory: pytest.TempPathFactory
) -> None:
    origin = Program(tmp_path_factory.mktemp("folder"))
    (origin.home / "dir").mkdir()
    for name, data in (("old", OLD), ("new", NEW)):
        (origin.home / "dir" / "file").write_bytes(data)
        origin.good("prepare", "dir", "--name", name)
    serving = Serving(origin)
    try:
        server = "--server", serving.url, "--delta", "always"
        program.good("pull", "old", "-o", "to", *server)
        ran = program.good("pull", "new", "-o", "to", *server)
        assert re.search(r"^  from the old to: 1\.\d+ MiB$", ran.err, re.M), ran.err
        assert re.search(r"^  of that, .* in deltas for .* of chunks and nodes$", ran.err, re.M)
        (program.home / "to" / "file").write_bytes(OLD)
        document = program.good("pull", "new", "-o", "to", *server, "--json").document
    finally:
        serving.stop()
    assert document["schema"] == "casync.pull-folder/1"
    assert 0 < document["delta_received"] <= document["received"]
    assert document["delta_plain"] > 0
    (seed,) = document["seeds"]
    assert seed == {"path": str(program.home / "to"), "bytes": document["sources"]["seed"]}


def test_a_dry_run_is_exact_and_changes_nothing(program: Program, url: str) -> None:
    arguments = ["pull", "vm/1", "-o", "vm", "--server", url, "--json"]
    plan = program.good(*arguments, "--dry-run").document
    assert plan["schema"] == "casync.plan/1"
    assert (plan["length"], plan["missing"]) == (len(OLD), 0)
    assert not program.store.exists()
    assert list(program.home.iterdir()) == []
    pulled = program.good(*arguments).document
    assert plan["sources"] == pulled["sources"]
    assert plan["fetch"] <= pulled["received"]


def test_pull_into_the_store_prints_the_hash(program: Program, origin: Program, url: str) -> None:
    ident = origin.good("ls", "vm/1").text.split("\t")[0]
    assert program.good("pull", "vm/1", "--server", url).text == f"{ident}\n"
    assert program.good("cat", ident).out == OLD


def test_pull_reads_servers_from_the_environment_but_ls_does_not(
    program: Program, url: str
) -> None:
    program.good("pull", "vm/1", "-o", "out", CASYNC_SERVER=url)
    assert program.run("ls", "vm/1", CASYNC_SERVER=url).status == 9


def test_ls_show_and_cat_ask_a_server(program: Program, origin: Program, url: str) -> None:
    server = ["--server", url]
    assert program.good("ls", *server).text == origin.good("ls").text
    assert program.good("ls", "-l", "vm/", *server).text == origin.good("ls", "-l", "vm/").text
    assert program.good("show", "vm/1", *server).text == origin.good("show", "vm/1").text
    assert (
        program.good("cat", "vm/1", "--offset", "1M", "--length", "9", *server).out
        == (OLD[1 << 20 : (1 << 20) + 9])
    )
    assert not program.store.exists()


def test_servers_resolve_no_prefixes(program: Program, origin: Program, url: str) -> None:
    ident = origin.good("ls", "vm/1").text.split("\t")[0]
    ran = program.run("cat", ident[:8], "--server", url)
    assert ran.status == 2
    assert "full hash" in ran.err


def test_a_missing_manifest_of_a_server_is_an_error(program: Program, url: str) -> None:
    for arguments in (["pull", "vm/9", "-o", "x"], ["show", "vm/9"], ["ls", "vm/9"]):
        ran = program.run(*arguments, "--server", url)
        assert (ran.status, ran.out) == (9, b""), ran


def test_an_unreachable_server_is_an_error(program: Program) -> None:
    ran = program.run("pull", "x", "-o", "x", "--server", "http://127.0.0.1:1", "--retry-for", "0")
    assert ran.status == 5
    assert "http://127.0.0.1:1" in ran.err
    assert "Check the address" in ran.err


def test_a_limit_slows_a_pull_down(program: Program, url: str) -> None:
    document = program.good(
        "pull", "vm/1", "-o", "vm", "--server", url, "--limit", "2M", "--json"
    ).document
    assert document["seconds"] >= 0.8


def test_an_interrupted_pull_resumes(program: Program, url: str) -> None:
    arguments = ["pull", "vm/1", "-o", "vm", "--server", url]
    process = program.start(*arguments, "--progress", "--limit", "200K")
    with process:
        assert process.stderr is not None
        read_until(process.stderr.fileno(), b"/s")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith(b"Run the same command again; it fetches only the rest.\n")
    assert not (program.home / "vm").exists()
    document = program.good(*arguments, "--json").document
    assert (program.home / "vm").read_bytes() == OLD
    assert 0 < document["received"] < len(OLD) * 0.95
    assert document["sources"]["part file"] > 0


def test_a_closed_pipe_ends_a_pull_quietly(program: Program, url: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = program.start("pull", "vm/1", "-o", "-", "--server", url, "-q", stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


def test_a_stdout_that_is_full_fails_a_pull(program: Program, url: str) -> None:
    with open("/dev/full", "wb") as full:
        process = program.start("pull", "vm/1", "-o", "-", "--server", url, "-q", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == b"casync: cannot write to stdout: No space left on device\n"


def test_unverified_certificates_give_a_warning(program: Program, url: str) -> None:
    for arguments in (["ls"], ["pull", "vm/1", "-o", "vm"]):
        ran = program.run(
            *arguments, "--server", "https://127.0.0.1:1", "--insecure", "--retry-for", "0"
        )
        assert ran.status == 5
        assert "not checked" in ran.err


def test_a_token_comes_from_a_file_and_goes_to_the_first_server(program: Program) -> None:
    (program.home / "token").write_text("secret\n")
    for arguments, environment in [
        (["--token-file", "token"], {}),
        ([], {"CASYNC_TOKEN_FILE": "token"}),
        ([], {"CASYNC_TOKEN": "secret"}),
    ]:
        with Listening(b"x") as peer:
            program.run("ls", "--server", peer.url, *arguments, stdin=b"", **environment)
        # The second request looks for a static site.
        assert peer.tokens == ["Bearer secret"] * 2


def test_a_missing_token_file_is_an_error(program: Program) -> None:
    ran = program.run("ls", "--server", "http://127.0.0.1:1", "--token-file", "absent")
    assert ran.status == 9
    assert "cannot read the token in absent" in ran.err


class Listening:
    """A server that refuses every request with the same body, and records tokens."""

    def __init__(self, body: bytes, content_type: str = "application/problem+json") -> None:
        self.tokens: list[str | None] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                peer.tokens.append(self.headers.get("Authorization"))
                self.send_response(403)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Listening:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def problem(detail: str) -> bytes:
    from json import dumps

    return dumps({"code": "denied", "detail": detail, "title": detail, "status": 403}).encode()


@pytest.mark.parametrize("json_mode", [False, True])
def test_an_error_text_of_a_server_cannot_control_the_terminal(
    program: Program, json_mode: bool
) -> None:
    with Listening(problem(EVIL)) as peer:
        process = program.start(
            "ls",
            *(["--json"] if json_mode else []),
            "--server",
            peer.url,
            stderr=subprocess.PIPE,
        )
        out, err = process.communicate(timeout=60)
    assert process.returncode == 8
    assert out == b""
    assert b"\x1b" not in err
    assert b"\x07" not in err
    assert b"\xc2\x9b" not in err
    assert b"[red]no[/red]" in err
    assert err.count(b"\n") == 1


def test_an_error_text_of_a_server_cannot_control_a_real_terminal(program: Program) -> None:
    with Listening(problem(EVIL)) as peer:
        _, screen = program.on_terminal("ls", "--server", peer.url, NO_COLOR="1")
    assert "\x1b" not in screen
    assert "\\x1b]0;owned\\x07[red]no[/red]\\xc2\\x9b31m" in screen
