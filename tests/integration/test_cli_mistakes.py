"""Mistakes of users: each error says what is wrong and what to do, and changes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from casync.store.lmdb.store import LmdbStore
from tests.support.program import Program
from tests.support.serving import serving

ABSENT = "0123456789abcdef"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A program whose home and store have a file `f` and a folder `d`."""
    program = Program(tmp_path_factory.mktemp("home"))
    (program.home / "f").write_bytes(b"content of a file")
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
        (["prepare", "gs://x/y", "--store", "new"], 2, "gs:// is not supported; s3:// is"),
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
    (tmp_path / "d" / "link").symlink_to("inner")
    stored = program.good("prepare", tmp_path / "d").err
    assert "unchanged" not in stored
