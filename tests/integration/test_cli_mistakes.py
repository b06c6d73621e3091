"""Mistakes of users: each error says what is wrong and what to do, and changes nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from casync.store.lmdb.store import LmdbStore
from tests.support.forked import without_rights
from tests.support.program import COMMAND, Program
from tests.support.serving import serving

ABSENT = "0123456789abcdef"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A program whose home and store have a file `f` and a folder `d`."""
    program = Program(tmp_path_factory.mktemp("home"))
    (program.home / "f").write_bytes(b"content of a file")
    (program.home / "empty").write_bytes(b"")
    (program.home / "d").mkdir()
    (program.home / "d" / "inner").write_bytes(b"content of an inner file")
    for name in ("f", "d"):
        program.good("prepare", name, "--name", name)
    return program


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["prepare", ""], 2, "prepare needs a path"),
        (["pull", "f", "-o", ""], 2, "-o needs a path"),
        (["pull", "f", "-o", "x", "--seed", ""], 2, "--seed needs a path"),
        (["pull", "f", "-o", "x", "--ca", ""], 2, "--ca needs a path"),
        (["ls", "--server", "http://a", "--token-file", ""], 2, "--token-file needs a path"),
        (["ls", "--config", ""], 2, "--config needs a path"),
        (["ls", "--store", ""], 2, "--store needs a path"),
        (["name", "set", "n", "f", "--sign", ""], 2, "--sign needs a path"),
        (["token", "new", ""], 2, "FILE needs a path"),
        (["serve", "--tls-cert", "", "--tls-key", "x"], 2, "--tls-cert needs a path"),
        (["store", "reindex", "--salvage", "", "--store", "new"], 2, "--salvage needs a path"),
        (["bench", "f", "f", "--html", ""], 2, "--html needs a path"),
        (["prepare", "ftp://x/y", "--store", "new"], 2, "ftp:// is not supported"),
        (["prepare", "f", "--name", ""], 2, "the name is empty"),
        (["ls", "--store", "f"], 9, "f is not a store, which is a folder"),
        (["show", "f@0"], 2, "versions start at 1: f@0"),
        (["name", "set", "n", "f", "--sign", "f"], 2, "f is not an unencrypted PEM private key"),
        (["check", "d", "f"], 2, "d is a folder, but f is a file"),
        (["check", "f", "d"], 2, "f is a file, but d is a folder"),
        (["cat", "d:nothere"], 9, "d has no nothere. `casync ls d:` lists what it has."),
        (["pull", "g", "-o", "x"], 9, "`casync ls` lists the names. Name a server with --server"),
        (["show", ABSENT], 9, f"no manifest here begins with {ABSENT}. `casync ls` lists"),
        (["show", ABSENT], 9, "Name a server with --server URL."),
        (["show", ABSENT * 4], 9, f"no manifest {ABSENT * 4} here. Name a server with --server"),
        (["serve", "--port", "80"], 2, "no such option: --port. Did you mean --listen?"),
        (["serve", "-p", "80"], 2, "no such option: -p. Did you mean --listen?"),
        (["pull", "f", "--output", "x"], 2, "no such option: --output. Did you mean -o?"),
        (["ls", "--token", "x"], 2, "no such option: --token. Did you mean --token-file?"),
        (["rm", "f", "--port", "80"], 2, "no such option: --port. See casync rm --help."),
        (["serve", "--listen", "8080"], 2, "Give an IP address and a port, for example 127.0.0.1"),
        (["get", "http://a/b", "--limit", "2M"], 2, "`casync download` takes it for http://"),
        (["ls", "--server", "http://a/v1"], 2, "ends before /v1: http://a/v1. Give http://a."),
        (["ls", "--server", "http://a", "--token-file", "empty"], 2, "empty does not contain a"),
        (
            ["store", "reindex", "--salvage", "f", "--store", "salvaged"],
            4,
            "f holds no object of a casync store",
        ),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(
    program: Program, arguments: list[str], status: int, said: str
) -> None:
    ran = program.run(*arguments)
    assert (ran.status, ran.out) == (status, b""), ran
    assert f"casync: {said}" in ran.err or said in ran.err
    assert not (program.home / "new").exists()


def test_an_error_about_a_server_says_what_to_do(program: Program) -> None:
    with serving(program.store) as server:
        absent = program.run("show", "absent", "--server", server.url)
        url = f"https://{server.url.partition('://')[2]}"
        plain = program.run("ls", "--server", url, "--retry-for", "0")
    assert f"`casync ls --server {server.url}` lists its names." in absent.err
    assert f"Try {server.url}." in plain.err, plain.err


def test_a_path_in_the_address_of_a_server_is_doubted(program: Program) -> None:
    with serving(program.store, writable=True) as server:
        for command in ("ls", "pull f -o x", "push f", "name log f", "show f"):
            ran = program.run(*command.split(), "--server", f"{server.url}/x")
            assert ran.status == 9, ran
            assert f"Unless a proxy puts the server at /x, its address is {server.url}." in ran.err


def test_a_wrong_token_and_too_low_a_scope_say_what_to_do(program: Program, tmp_path: Path) -> None:
    store = tmp_path / "store"
    program.good("prepare", "f", "--name", "f", "--store", store)
    program.good("token", "new", tmp_path / "token", "--store", store)
    with serving(store, writable=True) as server:
        at = ("--server", server.url)
        none = program.run("ls", *at)
        assert (none.status, "Give one with --token-file." in none.err) == (8, True)
        wrong = program.run("ls", *at, CASYNC_TOKEN="wrong")
        assert (wrong.status, "The one that was sent is unknown" in wrong.err) == (8, True)
        low = program.run("rm", "f", *at, "--token-file", tmp_path / "token")
        assert low.status == 8
        assert "needs a token of the scope admin. The server's operator makes one with" in low.err


def test_a_missing_right_says_where_and_what_to_do(program: Program, tmp_path: Path) -> None:
    def denied(*arguments: str | Path, **environment: str) -> str:
        ran = subprocess.run(
            [*without_rights(), *COMMAND, *arguments],
            cwd=program.home,
            env=program.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 8, ran
        return ran.stderr

    home = tmp_path / "home"
    (home / ".config" / "casync").mkdir(parents=True)
    (home / ".config" / "casync").chmod(0)
    home.chmod(0o500)
    try:
        said = denied("ls", HOME=str(home))
        assert "config.toml: permission denied. Set HOME to a folder of yours, or name" in said
        for command in (["prepare", "f"], ["serve", "--create"], ["token", "new", "--create"]):
            said = denied(*command, CASYNC_STORE=str(home / "store"))
            assert f"cannot write the store {home}/store: permission denied. Run the com" in said
        said = denied("pull", "f", "-o", home / "f")
        assert f"cannot write into the folder {home}: permission denied" in said
        said = denied("serve", "--listen", f"unix:{home}/socket")
        assert f"cannot listen on unix:{home}/socket: permission denied" in said
    finally:
        home.chmod(0o700)
        (home / ".config" / "casync").chmod(0o700)


def test_what_may_not_be_read_is_left_out_with_what_to_do(program: Program, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(0)
    (tmp_path / "open").write_bytes(b"x")
    command = [*without_rights(), *COMMAND, "prepare", str(tmp_path)]
    ran = subprocess.run(command, env=program.environment, capture_output=True, text=True)
    assert ran.returncode == 3
    assert "left out secret: Permission denied" in ran.stderr
    assert "Run the command as a user who may read them, or leave them out with" in ran.stderr


def test_an_empty_path_in_the_configuration_is_refused(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('store = ""\n')
    ran = program.run("ls", "--config", file, CASYNC_STORE="")
    assert (ran.status, ran.err) == (2, f"casync: {file}: store needs a path\n")


@pytest.mark.parametrize("extra", [[], ["--json"], ["file"]])
@pytest.mark.parametrize("is_full", [True, False])
def test_a_token_that_cannot_be_shown_is_not_made(
    program: Program, tmp_path: Path, extra: list[str], is_full: bool
) -> None:
    store = tmp_path / "store"
    program.good("prepare", "f", "--store", store)
    if is_full:
        out = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, out = os.pipe()
        os.close(reader)
    try:
        with program.start("token", "new", *extra, "--store", store, stdout=out) as process:
            _, err = process.communicate(timeout=60)
    finally:
        os.close(out)
    assert process.returncode == 1
    assert b"no token was made" in err
    assert not (program.home / "file").exists()
    with LmdbStore.open(store, read_only=True) as opened:
        assert opened.tokens.known() == (False, {})


def test_a_key_whose_public_key_was_not_shown_is_named(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "release key.pem"
    with (
        open("/dev/full", "wb") as full,
        program.start("key", "new", file, "--json", stdout=full) as process,
    ):
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    step = json.loads(err)["next_step"]
    assert step == f"`casync key show '{file}'` prints its public key."
    assert program.good("key", "show", file).text.startswith("ed25519:")


def test_reports_leave_out_what_did_not_happen(program: Program, tmp_path: Path) -> None:
    pulled = program.good("pull", "d", "-o", tmp_path / "d").err
    assert pulled.startswith(f"{tmp_path}/d: 1 file written, 24 B, in "), pulled
    again = program.good("pull", "d", "-o", tmp_path / "d").err
    assert again.startswith(f"{tmp_path}/d: 0 files written, 0 B, 1 kept, in "), again
    (tmp_path / "new").mkdir()
    stored = program.good("prepare", tmp_path / "new").err
    assert re.match(r"0 B in 0 files and 1 folder: \d+ B new, ", stored), stored
