"""`ls --archive`: what lies inside archives among names, and in trees."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import Program
from tests.support.serving import serving

MEMBERS = ["train", "train/1.cls", "train/2.cls"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A store with `s/a.tgz`, `s/b.tar`, `s/plain`, `s/broken.tar`, and a folder `box`."""
    program = Program(tmp_path_factory.mktemp("home"))
    home = program.home
    (home / "source" / "train").mkdir(parents=True)
    for number in (1, 2):
        (home / "source" / "train" / f"{number}.cls").write_bytes(b"%d" % number * 100)
    (home / "box" / "in").mkdir(parents=True)
    (home / "box" / "readme").write_bytes(b"text")
    for place, how in (("a.tgz", "czf"), ("b.tar", "cf"), ("box/in/c.tar", "cf")):
        command = ["tar", "-C", home / "source", f"-{how}", home / place, "train"]
        subprocess.run(list(map(str, command)), check=True)
    program.good("prepare", home / "a.tgz", "--name", "s/a.tgz")
    program.good("prepare", home / "b.tar", "--name", "s/b.tar")
    program.good("prepare", "--name", "s/plain", stdin=b"no archive")
    program.good("prepare", "--name", "s/broken.tar", stdin=b"no archive either")
    program.good("prepare", home / "box", "--name", "box")
    return program


@pytest.fixture(scope="module", params=["the store", "a server"])
def source(
    request: pytest.FixtureRequest, program: Program, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[str | Path]]:
    """Options of the source to list."""
    if request.param == "the store":
        yield []
        return
    with serving(program.store) as server:
        yield ["--server", server.url, "--store", tmp_path_factory.mktemp("other") / "store"]


def test_members_follow_the_names_of_their_archives(
    program: Program, source: list[str | Path]
) -> None:
    """A5"""
    done = program.good("ls", "--archive", "s/", *source)
    inside = {name: [f"{name}:{one}" for one in MEMBERS] for name in ("s/a.tgz", "s/b.tar")}
    assert [line.split()[1] for line in done.lines] == [
        *("s/a.tgz", *inside["s/a.tgz"]),
        *("s/b.tar", *inside["s/b.tar"]),
        *("s/broken.tar", "s/plain"),
    ]
    assert "s/broken.tar" in done.err or "broken.tar" in done.err
    plain = [line.split()[1] for line in program.good("ls", "s/", *source).lines]
    assert plain == ["s/a.tgz", "s/b.tar", "s/broken.tar", "s/plain"]
    long = program.good("ls", "-l", "--archive", "s/b.tar", *source).lines
    assert long[0].split()[-1] == "s/b.tar@1"
    assert (long[2].split()[1], long[2].split()[-1]) == ("100", "s/b.tar@1:train/1.cls")
    ref = long[2].split()[-1]
    assert program.good("cat", ref, *source).out == b"1" * 100


def test_members_are_rows_of_json(program: Program, source: list[str | Path]) -> None:
    """A5"""
    rows = program.good("ls", "--archive", "s/b.tar", "--json", *source).document["entries"]
    assert [row.get("member") for row in rows] == [None, *MEMBERS]
    assert {row["name"] for row in rows} == {"s/b.tar"}
    assert (rows[2]["kind"], rows[2]["length"]) == ("file", 100)
    assert program.good("ls", "none/", "--json", *source).document["entries"] == []


def test_members_follow_archives_in_a_tree(program: Program, source: list[str | Path]) -> None:
    """A5"""
    listed = program.good("ls", "-R", "--archive", "box:", *source).lines
    assert listed == ["in", "in/c.tar", *(f"in/c.tar/{one}" for one in MEMBERS), "readme"]
    assert program.good("cat", f"box:{listed[3]}", *source).out == b"1" * 100
    long = program.good("ls", "-l", "--archive", "box:in", *source).lines
    assert long[1].split()[0].startswith("d")
    rows = program.good("ls", "--archive", "box:in/c.tar", "--json", *source).document["entries"]
    assert [row["path"] for row in rows] == ["in/c.tar", *(f"in/c.tar/{one}" for one in MEMBERS)]


def test_archives_at_a_url_are_refused(program: Program) -> None:
    done = program.run("ls", "--archive", "http://127.0.0.1:1/")
    assert done.status == 2


def test_a_warning_names_the_archive(program: Program, tmp_path: Path) -> None:
    """A5"""
    cut = (program.home / "a.tgz").read_bytes()[:-12]
    store: list[str | Path] = ["--store", tmp_path / "store"]
    program.good("prepare", "--name", "t/cut.tgz", *store, stdin=cut)
    done = program.good("ls", "--archive", "t/", *store)
    assert [line.split("\t")[1] for line in done.lines] == ["t/cut.tgz"]
    assert "warning: t/cut.tgz: the archive ends inside its gzip data" in done.err
