"""`casync prepare` of several inputs, and its reports."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from tests.support.program import Program

DATA = random.Random(1).randbytes(300_000)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def several(program: Program) -> list[str]:
    """Makes two files and a folder; returns their hashes."""
    (program.home / "a").write_bytes(DATA)
    (program.home / "b").write_bytes(b"b")
    (program.home / "dir").mkdir()
    (program.home / "dir" / "inside").write_bytes(b"b")
    return [program.good("prepare", name).text.strip() for name in ("a", "b", "dir")]


def test_several_inputs_give_a_hash_each_in_order(program: Program) -> None:
    a, b, folder = several(program)
    assert program.good("prepare", "dir", "b", "a").lines == [folder, b, a]
    ran = program.good("prepare", "a", "-", "dir", stdin=b"b")
    assert ran.lines == [a, b, folder]
    assert re.search(
        "^dir: 1 B in 1 file and 1 folder: 1 unchanged; 0 B new, 0 B stored$", ran.err, re.M
    )


def test_several_inputs_are_one_json_document(program: Program) -> None:
    a, _, folder = several(program)
    document = program.good("prepare", "a", "dir", "--json").document
    assert document["schema"] == "casync.prepare-list/1"
    first, second = document["results"]
    assert (first["file"], first["schema"], first["manifest"]) == ("a", "casync.prepare/1", a)
    assert second["schema"] == "casync.prepare-folder/1"
    assert (second["file"], second["manifest"]) == ("dir", folder)
    alone = program.good("prepare", "a", "--json").document
    assert set(first) - {"file"} == set(alone)
    assert (alone["schema"], alone["chunks"]) == (first["schema"], first["chunks"])


def test_an_input_that_is_missing_does_not_stop_the_others(program: Program) -> None:
    a, b, _ = several(program)
    ran = program.run("prepare", "a", "none", "b", "nothing")
    assert ran.status == 9
    assert ran.lines == [a, b]
    assert "none: there is no file none" in ran.err
    assert "nothing: there is no file nothing" in ran.err
    assert "casync: 2 of 4 inputs failed; the first: there is no file none" in ran.err
    ran = program.run("prepare", "none", "b", "--json")
    assert ran.status == 9
    missing, found = ran.document["results"]
    assert missing == {
        "file": "none",
        "error": {"code": "not-found", "message": "there is no file none"},
    }
    assert found["manifest"] == b


@pytest.mark.parametrize(
    "options",
    [
        ["--name", "x"],
        ["--expect", "sha256:" + "0" * 64],
        ["--name", "x", "--sign", "key"],
        ["--sign", "key"],
    ],
)
def test_options_of_one_input_are_refused_with_several(
    program: Program, options: list[str]
) -> None:
    several(program)
    ran = program.run("prepare", "a", "b", *options)
    assert ran.status == 2
    assert options[0] in ran.err
    assert program.good("ls", "x*").lines == []


def test_stdin_is_prepared_once(program: Program) -> None:
    ran = program.run("prepare", "-", "-", stdin=b"x")
    assert (ran.status, ran.out) == (2, b"")
    assert not program.store.exists()


def test_an_unchanged_file_reports_its_chunks_as_a_changed_one_does(program: Program) -> None:
    (program.home / "a").write_bytes(DATA)
    first = program.good("prepare", "a", "--json").document
    while not (again := program.good("prepare", "a", "--json").document)["unchanged"]:
        assert again["manifest"] == first["manifest"]
    assert (again["chunks"], again["new"]) == (first["chunks"], 0)
    assert again["reused"] == again["chunks"] > 10


def test_a_store_that_cannot_be_opened_ends_the_command(program: Program) -> None:
    several(program)
    (program.home / "file").write_bytes(b"not a folder")
    ran = program.run("prepare", "a", "b", "--store", program.home / "file" / "store")
    assert ran.status != 0
    assert ran.out == b""
    assert "inputs failed" not in ran.err
