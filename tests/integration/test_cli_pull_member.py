"""`pull REF:MEMBER`, from a server and from a store."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archive_programs import archive_program
from tests.support.program import Program
from tests.support.serving import serving

COUNT = 12
SIZE = 1_000_000
MEMBERS = {f"images/{n:02}.bin": random.Random(n).randbytes(SIZE) for n in range(COUNT)}
LAST = f"images/{COUNT - 1:02}.bin"
ENDINGS = ("tar", "tgz", "zip")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A store with `a.tar`, `a.tgz`, `a.zip`, and a folder `box` with `in/a.tar` in it."""
    program = Program(tmp_path_factory.mktemp("home"))
    source = program.home / "source"
    (source / "images").mkdir(parents=True)
    for name, data in MEMBERS.items():
        (source / name).write_bytes(data)
    (program.home / "box" / "in").mkdir(parents=True)
    for ending, how in (("tar", "cf"), ("tgz", "czf")):
        out = program.home / f"a.{ending}"
        subprocess.run(["tar", "-C", source, "--sort=name", f"-{how}", out, "images"], check=True)
    out = program.home / "a.zip"
    subprocess.run([archive_program("zip"), "-qr", out, "images"], cwd=source, check=True)
    for ending in ENDINGS:
        program.good("prepare", program.home / f"a.{ending}", "--name", f"a.{ending}")
    os.link(program.home / "a.tar", program.home / "box" / "in" / "a.tar")
    program.good("prepare", program.home / "box", "--name", "box")
    return program


@pytest.fixture(scope="module")
def url(program: Program) -> Iterator[str]:
    with serving(program.store) as server:
        yield server.url


REFS = [*(f"a.{ending}:{LAST}" for ending in ENDINGS), f"box:in/a.tar/{LAST}"]


@pytest.mark.parametrize("ref", REFS)
def test_a_member_is_pulled_from_the_store(program: Program, tmp_path: Path, ref: str) -> None:
    """A2"""
    out = tmp_path / "member"
    out.write_bytes(b"an old file")
    out.chmod(0o640)
    done = program.good("pull", ref, "-o", out, "--json").document
    assert out.read_bytes() == MEMBERS[LAST]
    assert out.stat().st_mode & 0o777 == 0o640
    assert (done["outcome"], done["length"], done["output"]) == ("written", SIZE, str(out))
    assert program.good("pull", ref, "-o", "-").out == MEMBERS[LAST]
    assert os.listdir(tmp_path) == ["member"]


@pytest.mark.parametrize("ref", REFS)
def test_only_what_a_member_needs_travels(
    program: Program, tmp_path: Path, url: str, ref: str
) -> None:
    """A2: a twelfth of the archive, and what lies beside it"""
    other: list[str | Path] = ["--store", tmp_path / "store", "--server", url]
    first = program.good("pull", ref, "-o", tmp_path / "first", "--json", *other).document
    planned = program.good("pull", ref, "-o", tmp_path / "out", "--dry-run", "--json", *other)
    assert not (tmp_path / "out").exists()
    done = program.good("pull", ref, "-o", tmp_path / "out", "--json", *other).document
    assert (tmp_path / "out").read_bytes() == MEMBERS[LAST]
    whole, near = COUNT * SIZE, 2 * SIZE if "tgz" not in ref else 5 * SIZE
    assert SIZE <= first["received"] <= near + SIZE < whole  # and the index
    assert SIZE <= done["received"] <= near < whole
    assert SIZE <= planned.document["fetch"] <= near
    assert planned.document["length"] == SIZE
    assert set(done["sources"]) == {"server"}
    assert program.good("pull", ref, "-o", "-", *other).out == MEMBERS[LAST]


def test_a_member_that_is_not_what_was_expected_is_not_written(
    program: Program, tmp_path: Path
) -> None:
    out = tmp_path / "member"
    digest = hashlib.sha256(MEMBERS[LAST]).hexdigest()
    program.good("pull", f"a.tgz:{LAST}", "-o", out, "--expect", f"sha256:{digest}")
    out.write_bytes(b"old")
    wrong = program.run("pull", f"a.tgz:{LAST}", "-o", out, "--expect", f"sha256:{'0' * 64}")
    assert (wrong.status, out.read_bytes()) == (4, b"old")
    assert digest in wrong.err


def test_a_damaged_member_is_not_written(program: Program, tmp_path: Path) -> None:
    """A2: the CRC of zip"""
    broken = bytearray((program.home / "a.zip").read_bytes())
    at = broken.rindex(MEMBERS[LAST][500_000:500_100])
    broken[at] ^= 1
    (tmp_path / "broken.zip").write_bytes(broken)
    program.good("prepare", tmp_path / "broken.zip", "--name", "broken.zip")
    done = program.run("pull", f"broken.zip:{LAST}", "-o", tmp_path / "out")
    assert done.status == 4
    assert "is damaged in its archive" in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("a.tar:images -o x", 2, "`casync archive get a.tar:images --extract DIR` writes it"),
        ("box:in/a.tar/images -o x", 2, "casync archive get box:in/a.tar/images --extract DIR"),
        ("a.tar:images/99 -o x", 9, "`casync archive ls a.tar` lists what it has"),
        (f"a.tar:{LAST}", 2, "Write it with -o OUT"),
        (f"a.tar:{LAST} -o x --cache", 2, "Write it with -o OUT"),
        (f"a.tar:{LAST} -o x --delete", 2, "are for folders"),
        (f"a.tar:{LAST} -o source", 1, "source is a folder"),
    ],
)
def test_mistakes_are_told(program: Program, command: str, status: int, said: str) -> None:
    done = program.run("pull", *command.split())
    assert (done.status, said in done.err) == (status, True), done
    assert not (program.home / "x").exists()
