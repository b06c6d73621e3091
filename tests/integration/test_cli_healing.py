"""Commands name what is damaged, and what `verify` advises makes a store whole again."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from casync.ids import Kind
from casync.objects.codec import Packed
from casync.store.lmdb.store import LmdbStore
from tests.support.program import Program, Ran
from tests.support.serving import serving
from tests.support.web_servers import http_server

DATA = random.Random(1).randbytes(300_000)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    program = Program(tmp_path)
    (tmp_path / "file").write_bytes(DATA)
    return program


def damage(program: Program) -> None:
    """Flips a byte in the middle of a chunk: noise is stored as it is, so it can be found."""
    data = program.store / "data.mdb"
    good = DATA[100_000:100_032]  # perhaps also in a page that is free by now
    data.write_bytes(data.read_bytes().replace(good, bytes([good[0] ^ 1]) + good[1:]))


def test_reindex_and_another_prepare_heal_a_store(program: Program) -> None:
    manifest = program.good("prepare", "file", "--name", "vm").text.strip()
    damage(program)
    found = program.run("verify")
    assert found.status == 4
    assert found.lines == [line for line in found.lines if line.startswith("damaged\tchunk\t")]
    assert manifest in found.text
    assert "casync repair" in found.err
    assert "casync store reindex" in found.err
    assert program.run("store", "reindex").status == 4
    assert program.run("cat", "vm").status == 9, "what is not whole has no name"
    assert program.good("prepare", "file", "--name", "vm").text.strip() == manifest
    program.good("verify")
    assert program.good("cat", "vm").out == DATA


def test_what_is_read_again_heals_a_store(program: Program) -> None:
    program.good("prepare", "file", "--name", "vm")
    with http_server(program.home) as url:
        for command in (["prepare", "file"], ["get", f"{url}/file"]):
            program.good(*command)
            damage(program)
            assert program.run("verify").status == 4
            program.good(*command, "--reread")
            program.good("verify")
    assert program.good("cat", "vm").out == DATA


def test_what_a_download_brought_is_mended_by_its_address(program: Program) -> None:
    """As docs/DOWNLOADS.md says: the same download skips what is damaged."""
    os.utime(program.home / "file", (1_600_000_000, 1_600_000_000))
    with http_server(program.home) as url:
        command = ["download", f"{url}/file", "set/"]
        program.good(*command)
        damage(program)
        found = program.run("verify")
        assert (found.status, "set/file" in found.text) == (4, True)
        program.good(*command)
        assert program.run("verify").status == 4
        (planned,) = program.good(*command, "--dry-run").lines
        action, _, name, address = planned.split("\t")
        assert (action, name) == ("ask", "set/file")
        program.good("get", "--reread", address)
        program.good("verify")
    assert program.good("cat", "set/file").out == DATA


def test_repair_fetches_what_is_damaged(program: Program) -> None:
    manifest = program.good("prepare", "file", "--name", "vm").text.strip()
    program.good("store", "backup", "healthy")
    damage(program)
    (line,) = {line.split("\t")[2] for line in program.run("verify").lines}
    with serving(program.home / "healthy") as server:
        offered = program.run("repair", "--server", server.url, "--dry-run")
        assert offered.lines == [f"mended\tchunk\t{line}"]
        assert program.run("verify", "--quick").status == 0
        assert program.run("verify").status == 4
        document = program.good("repair", "vm", "--server", server.url, "--json").document
        assert document["mended"] == [{"kind": "chunk", "id": line}]
        assert program.good("repair", "--server", server.url).lines == []
        url = server.url
    program.good("verify")
    assert program.good("cat", manifest).out == DATA
    damage_left = program.run("repair", "--server", url, "--retry-for", "1s")
    assert damage_left.status == 0, "nothing is asked for when nothing is wrong"
    damage(program)
    assert program.run("repair", "--server", url, "--retry-for", "1s").status == 5
    assert program.run("repair", "vm:x", "--server", url).status == 2
    assert program.run("repair", "gone", "--server", url).status == 9


FROM_THE_STORE = ["pull vm -o out", "pull dir -o to", "pull dir:sub/file -o out", "pull vm"]
SERVED = ["pull vm -o out", "pull dir -o to", "pull vm --cache -o out", "pull dir"]


def check_damage(ran: Ran, place: str) -> None:
    assert ran.status == 4, ran.err
    (line,) = [line for line in ran.err.splitlines() if line.startswith("casync: ")]
    assert " is damaged" in line
    assert "no source has" not in line
    assert place in line
    assert "casync repair" in line


def prepared(program: Program) -> None:
    """A store with a file, a folder that holds it, and one damaged chunk of it."""
    (program.home / "dir" / "sub").mkdir(parents=True)
    (program.home / "dir" / "sub" / "file").write_bytes(DATA)
    program.good("prepare", "file", "--name", "vm")
    program.good("prepare", "dir", "--name", "dir")
    (program.home / "file").unlink()  # otherwise these are seeds
    (program.home / "dir" / "sub" / "file").unlink()
    damage(program)


def test_damage_in_the_local_store_is_named(program: Program) -> None:
    prepared(program)
    for command in FROM_THE_STORE:
        check_damage(program.run(*command.split()), "in the local store")
    ran = program.run("pull", "dir", "-o", "to")
    assert re.search(r"\(bytes \d+ to \d+ of sub/file\)", ran.err)
    check_damage(program.run("cat", "vm"), f"store {program.store}: chunk ")
    check_damage(program.run("cat", "dir:sub/file"), "(bytes ")
    with serving(program.home / "empty", writable=True) as server:
        check_damage(program.run("push", "vm", "--server", server.url), f"store {program.store}")


def test_damage_of_a_server_is_named_unless_another_one_is_healthy(program: Program) -> None:
    program.good("prepare", "file", "--name", "vm")
    program.good("store", "backup", "healthy")
    prepared(program)
    other = Program(program.home / "client")
    other.home.mkdir()
    with serving(program.store) as server:
        for command in SERVED:
            ran = other.run(*command.split(), "--server", server.url)
            check_damage(ran, f"on {server.url}")
        check_damage(other.run("cat", "vm", "--server", server.url), f"{server.url}: chunk ")
        with serving(program.home / "healthy") as healthy:
            both = "--server", server.url, "--server", healthy.url
            other.good("pull", "vm", "-o", "out", *both)
    assert (other.home / "out").read_bytes() == DATA


def test_a_damaged_node_is_named(program: Program) -> None:
    manifest = program.good("prepare", "file", "--name", "vm").text.strip()
    (program.home / "file").unlink()
    spoil_nodes(program)
    for command in ("pull vm -o out", f"check vm {program.home / 'out'}"):
        (program.home / "out").write_bytes(DATA)
        check_damage(program.run(*command.split()), "in the local store")
    check_damage(program.run("cat", "vm"), f"store {program.store}: node ")
    other = Program(program.home / "client")
    other.home.mkdir()
    with serving(program.store) as server:
        ran = other.run("pull", manifest, "-o", "out", "--server", server.url)
        check_damage(ran, f"on {server.url}")


def spoil_nodes(program: Program) -> None:
    """Changes the payload of each node in the store."""
    with LmdbStore.open(program.store) as store:
        nodes = list(store.objects(Kind.NODE))
        packed = [next(store.get(Kind.NODE, [ident])) for ident in nodes]
    data = bytearray((program.store / "data.mdb").read_bytes())
    for one in packed:
        assert isinstance(one, Packed)
        at = data.index(one.payload) + len(one.payload) // 2
        data[at] ^= 1
    (program.store / "data.mdb").write_bytes(data)
