"""Signed names in use: a publisher, an untrusted server, a client."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.support.program import Program
from tests.support.serving import serving


@pytest.fixture
def publisher(tmp_path: Path) -> Program:
    (tmp_path / "publisher").mkdir()
    return Program(tmp_path / "publisher")


@pytest.fixture
def client(tmp_path: Path) -> Program:
    (tmp_path / "client").mkdir()
    return Program(tmp_path / "client")


def test_keys(publisher: Program) -> None:
    key = publisher.good("key", "new", "release.pem").lines[0]
    assert key.startswith("ed25519:")
    path = publisher.home / "release.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert publisher.good("key", "show", "release.pem", "--json").document["key"] == key
    assert publisher.run("key", "new", "release.pem").status == 2
    assert publisher.good("key", "new", "other.pem").lines[0] != key
    assert publisher.run("key", "show", "nowhere.pem").status == 9
    (publisher.home / "nonsense").write_text("nonsense")
    assert publisher.run("key", "show", "nonsense").status == 2


def test_a_server_that_need_not_be_trusted(publisher: Program, client: Program) -> None:
    key = publisher.good("key", "new", "release.pem").lines[0]
    foreign = publisher.good("key", "new", "foreign.pem").lines[0]
    one = publisher.good("prepare", "--name", "one", stdin=b"1").lines[0]
    publisher.good("prepare", "--name", "two", stdin=b"2")
    with serving(publisher.store, writable=True) as server:
        there = ("--server", server.url)
        sign = ("--sign", "release.pem")
        pull = ("pull", "vm", "-o", "out", "--trust", key, *there)
        out = client.home / "out"

        assert client.run(*pull).status == 9
        publisher.good("name", "set", "vm", "one", *there)
        refused = client.run(*pull, "--json")
        assert (refused.status, refused.problem["code"]) == (4, "untrusted")
        assert not out.exists()

        assert publisher.good("name", "set", "vm", one, *sign, *there).lines == [f"{one}\tvm@2"]
        client.good(*pull)
        assert out.read_bytes() == b"1"
        assert client.run("pull", "vm", "-o", "out", "--trust", foreign, *there).status == 4
        client.good("pull", "vm", "-o", "out", "--trust", foreign, "--trust", key, *there)

        # Locally, where the server has its store, and with an end.
        publisher.good("name", "set", "vm", "two", *sign, "--expires", "30d")
        assert client.run(*pull, "--dry-run").status == 0
        client.good(*pull)
        assert out.read_bytes() == b"2"

        # An older version is published again.
        publisher.good("rm", "vm@3", *there)
        older = client.run(*pull)
        assert older.status == 4
        assert "version 3 was seen before" in older.err
        client.good("pull", "vm@2", "-o", "out", "--trust", key, *there)
        assert out.read_bytes() == b"1"
        client.good(*pull, "--allow-rollback")
        client.good(*pull)

        # A version number is not used twice.
        assert publisher.good("name", "set", "vm", "two", *sign, *there).lines[0].endswith("vm@4")
        client.good("pull", one, "-o", "out", "--trust", key, *there)  # a hash needs no signature


def test_invalid_combinations_of_signing_options_are_refused(publisher: Program) -> None:
    publisher.good("prepare", "--name", "vm", stdin=b"1")
    publisher.good("key", "new", "release.pem")
    there = ("--server", "http://127.0.0.1:1")
    for arguments in (
        ("name", "set", "x", "vm", "--expires", "30d"),
        ("name", "set", "x", "vm", "--sign", "/dev/null"),
        ("name", "set", "x", "vm", "--sign", "release.pem", "--expires", "0s"),
        ("prepare", "/dev/null", "--sign", "release.pem"),
        ("prepare", "/dev/null", "--sign", "/dev/null", "--name", "x"),
        ("push", "vm@1", "--sign", "release.pem", *there),
        ("push", "vm", "--part", "1/2", "--sign", "release.pem", *there),
        ("pull", "vm", "-o", "out", "--trust", "nobody", *there),
        ("pull", "vm", "-o", "out", "--allow-rollback", *there),
    ):
        assert publisher.run(*arguments).status == 2, arguments
    key = "ed25519:" + "0" * 64
    assert publisher.run("pull", "vm", "-o", "out", "--trust", key, *there).status == 5


def test_names_are_signed_where_they_are_made(publisher: Program, client: Program) -> None:
    key = publisher.good("key", "new", "release.pem").lines[0]
    sign = ("--sign", "release.pem")
    (publisher.home / "folder").mkdir()
    (publisher.home / "folder" / "file").write_bytes(b"in it")
    file = publisher.good("prepare", "--name", "file", *sign, "--json", stdin=b"1").document
    assert (file["name"], file["version"]) == ("file", 1)
    folder = publisher.good("prepare", "folder", "--name", "folder", *sign, "--json").document
    assert (folder["name"], folder["version"]) == ("folder", 1)
    with serving(client.home / "store", writable=True) as server:
        there = ("--server", server.url)
        pull = ("pull", "file", "-o", "out", "--trust", key, *there)
        pushed = publisher.good("push", "file", *sign, "--json", *there).document
        assert (pushed["name"], pushed["version"]) == ("file", 1)
        again = publisher.good("push", "file", *sign, "--dry-run", *there)
        assert again.lines[-1] == "objects\t0"
        publisher.good("push", "file", *sign, *there)  # changes nothing
        assert len(publisher.good("name", "log", "file", *there).lines) == 1
        client.good(*pull)
        assert (client.home / "out").read_bytes() == b"1"
        publisher.good("push", "folder", "--name", "other", *sign, *there)
        client.good("pull", "other:file", "-o", "out", "--trust", key, *there)
        assert (client.home / "out").read_bytes() == b"in it"
        publisher.good("push", "file", "--name", "unsigned", *there)
        unsigned = client.run("pull", "unsigned", "-o", "out", "--trust", key, *there)
        assert unsigned.status == 4


def test_trusted_keys_are_read_from_the_configuration(publisher: Program, client: Program) -> None:
    key = publisher.good("key", "new", "release.pem").lines[0]
    other = publisher.good("key", "new", "other.pem").lines[0]
    publisher.good("prepare", "--name", "vm/one", "--sign", "release.pem", stdin=b"1")
    publisher.good("prepare", "--name", "vm/two", "--sign", "other.pem", stdin=b"2")
    publisher.good("prepare", "--name", "plain", stdin=b"3")
    config = client.home / "config.toml"
    told = ("--config", str(config))

    def status(name: str, *arguments: str) -> int:
        return client.run("pull", name, "-o", "out", *arguments, *told).status

    with serving(publisher.store) as server:
        table = f'[server."{server.url}/"]\ntrust = ["{key}"]\n'
        config.write_text(f'servers = ["{server.url}"]\n{table}')
        assert [status(name) for name in ("vm/one", "vm/two", "plain")] == [0, 4, 4]
        assert status("vm/two", "--trust", other) == 0
        assert status("vm/one", "--trust", other) == 4
        assert status("vm/one", "--allow-rollback") == 0
        by_name = f'[name."vm/t*"]\ntrust = ["{other}"]\n[name."vm/"]\ntrust = ["{key}"]\n'
        config.write_text(f'servers = ["{server.url}"]\n{by_name}{table}')
        assert [status(name) for name in ("vm/one", "vm/two", "plain")] == [0, 0, 4]
        shown = client.good("config", "show", *told).lines
        assert f'name."vm/t*".trust\t{other}\t{config}' in shown
        assert f'server."{server.url}/".trust\t{key}\t{config}' in shown
        config.write_text(f'servers = ["{server.url}"]\n[name."vm/"]\ntrust = ["nobody"]\n')
        assert status("vm/one") == 2
        for wrong in ('[name."x"]\ntrust = "text"\n', '[name."x"]\nca = "x"\n', "[name]\nx = 1\n"):
            config.write_text(wrong)
            assert status("vm/one") == 2


def test_the_log_shows_who_signed(publisher: Program) -> None:
    key = publisher.good("key", "new", "release.pem").lines[0]
    publisher.good("prepare", "--name", "vm", stdin=b"1")
    publisher.good("prepare", "--name", "vm", "--sign", "release.pem", stdin=b"2")
    local = publisher.good("name", "log", "vm")
    assert [line.split("\t")[3] for line in local.lines] == ["", key]
    with serving(publisher.store) as server:
        there = ("--server", server.url)
        assert publisher.good("name", "log", "vm", *there).text == local.text
        versions = publisher.good("name", "log", "vm", "--json", *there).document["versions"]
    assert [version["signer"] for version in versions] == [None, key]


def test_a_name_of_the_local_store_is_believed_if_a_trusted_key_signed_it(
    publisher: Program,
) -> None:
    key = publisher.good("key", "new", "release.pem").lines[0]
    foreign = publisher.good("key", "new", "foreign.pem").lines[0]
    publisher.good("prepare", "--name", "vm", stdin=b"1")
    pull = ("pull", "vm", "-o", "out", "--trust")
    for ref in ("vm", "vm@1"):
        refused = publisher.run("pull", ref, "-o", "out", "--trust", key, "--json")
        assert (refused.status, refused.problem["code"]) == (4, "untrusted")
    assert not (publisher.home / "out").exists()

    publisher.good("name", "set", "vm", "vm", "--sign", "release.pem")
    assert publisher.run(*pull, foreign).status == 4
    publisher.good(*pull, key)
    assert (publisher.home / "out").read_bytes() == b"1"

    publisher.good("rm", "vm@2")  # an older, unsigned version is the newest again
    assert publisher.run(*pull, key).status == 4

    config = publisher.home / ".config" / "casync" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'[name."vm"]\ntrust = ["{key}"]\n')
    assert publisher.run("pull", "vm", "-o", "other").status == 4
