"""What `verify` advises makes a damaged store whole again."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.support.program import Program
from tests.support.serving import serving

DATA = random.Random(1).randbytes(300_000)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    program = Program(tmp_path)
    (tmp_path / "file").write_bytes(DATA)
    return program


def damage(program: Program) -> None:
    """Flips a byte in the middle of a chunk: noise is stored as it is, so it can be found."""
    data = program.store / "data.mdb"
    place = data.read_bytes().index(DATA[100_000:100_032])
    with data.open("r+b") as file:
        os.pwrite(file.fileno(), bytes([DATA[100_000] ^ 1]), place)


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
