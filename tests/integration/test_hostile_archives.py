"""Archives made to do harm, from the command line: one line, the right exit, little memory."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import msgspec
import pytest
import zstandard

from benchmarks.memory import Sampler
from casync.limits import MIB
from tests.support.crafted_archives import ZEROS, changed_zip, tar_header, tar_of, zip_of
from tests.support.program import Program

LONG_NAME = msgspec.msgpack.encode({"k" * (2 << 20): b""})
MEMORY = 300 * MIB
"""What a command may take, of whatever it is asked to read."""


def ended(program: Program, *arguments: str | Path) -> tuple[int, str]:
    """Runs a command within the bound of memory; returns its status and the last line it said."""
    with program.start(*arguments) as process:
        sampler = Sampler(process.pid)
        sampler.start()
        _, err = process.communicate(timeout=120)
        sampler.stop()
    assert sampler.memory < MEMORY, arguments
    assert b"Traceback" not in err
    lines = [line for line in err.decode().splitlines() if line.startswith("casync: ")]
    assert process.returncode == 0 or len(lines) == 1, err
    return process.returncode, lines[0] if lines else ""


def zstd_bomb() -> bytes:
    """A tar of 3 GB in some hundred kilobytes."""
    info = tarfile.TarInfo("zeros")
    info.size = 3000 * MIB
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as writer:
        writer.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(3000):
            writer.write(bytes(MIB))
    return out.getvalue()


def encrypted() -> bytes:
    data = changed_zip(zip_of("member"), b"PK\3\4", 6, "H", 1)
    return changed_zip(data, b"PK\1\2", 8, "H", 1)


@pytest.mark.parametrize(
    ("name", "data", "status", "unpacked", "listed"),
    [
        ("bomb.tar.zst", zstd_bomb(), 4, "looks like a bomb", "looks like a bomb"),
        ("a.tar", tar_header(size=b"77777777777\0"), 4, "ends at byte 512", "ends at byte 512"),
        ("a.tar", tar_of("a", bytes(range(256)) * 99)[:9000], 4, "inside a", "inside a"),
        ("a.tar", tar_header(b"1", target=b"/etc/passwd") + ZEROS, 9, "which is not in", ""),
        ("a.zip", changed_zip(zip_of("a"), b"PK\1\2", 24, "L", 1 << 31), 4, "like a bomb", ""),
        ("a.zip", changed_zip(zip_of("a", "b"), b"PK\5\6", 10, "H", 1), 4, "has 2", "has 2"),
        ("a.zip", zip_of("a")[:-30], 4, "no directory", "is not zip"),
        ("a.zip", encrypted(), 10, "encrypted", ""),
        ("a.msgpack", b"\xdf\xff\xff\xff\xff\xa1a\xc4\x01x", 4, "at byte 10", "at byte 10"),
        ("a.msgpack", LONG_NAME, 4, "not msgpack", "not msgpack"),
        ("a.msgpack", b"\x81\xa1a" + b"\x91" * 1_000_000, 4, "not msgpack", "not msgpack"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(
    program: Program, name: str, data: bytes, status: int, unpacked: str, listed: str
) -> None:
    """A1"""
    (program.home / name).write_bytes(data)
    program.good("prepare", program.home / name, "--name", name)
    for command, said in (
        (("prepare", "--unpack", program.home / name, "--name", "tree"), unpacked),
        (("archive", "ls", name), listed),
        (("archive", "get", name, "--extract", program.home / "out"), listed or unpacked),
    ):
        found, line = ended(program, *command)
        if said and not (command[1] == "get" and not listed):
            assert (found, said in line) == (status, True), (command, line)
    assert program.run("ls", "tree").status == 9


@pytest.mark.parametrize(
    "command",
    [
        ("create", "made.tar", "a.zip:"),
        ("create", "made.msgpack", "a.zip:a"),
        ("create", "made.tgz", "--dry-run", "box:a.zip/"),
        ("get", "a.zip", "--suffix", "a", "-o", "out.tar"),
    ],
    ids=" ".join,
)
def test_a_bomb_of_zip_is_not_made_into_another_archive(
    program: Program, command: tuple[str, ...]
) -> None:
    """A3"""
    folder = program.home / "box"
    folder.mkdir()
    # What the directory says is made, whatever is there.
    data = changed_zip(zip_of("a", "b"), b"PK\1\2", 24, "L", 1 << 31)
    (folder / "a.zip").write_bytes(data)
    program.good("prepare", folder / "a.zip", "--name", "a.zip")
    program.good("prepare", folder, "--name", "box")
    (folder / "a.zip").unlink()
    found, line = ended(program, "archive", *command)
    assert (found, "looks like a bomb" in line) == (4, True), line
    assert b"made" not in program.good("ls").out
    assert not (program.home / "out.tar").exists()


def test_names_that_lead_out_are_written_nowhere(program: Program) -> None:
    """A1"""
    names = b"".join(map(tar_of, ["../evil", "/evil", "a/../../evil", "good"]))
    link = tar_header(b"2", target=b"..") + tar_of("crafted/evil")
    deep = program.home / "deep"
    deep.mkdir()
    for name, data in (("names", names), ("link", names + link)):
        (program.home / name).write_bytes(data + ZEROS)
        program.good("prepare", program.home / name, "--name", name)
    before = {*program.home.rglob("*")} - {*program.store.rglob("*")}
    program.good("archive", "get", "names", "--extract", deep / "out")
    assert {path.name for path in (deep / "out").iterdir()} == {"evil", "good"}
    said = (
        "link has crafted/evil, but crafted is not a folder. "
        "Leave it out with --regex '^(?!crafted/evil$)'."
    )
    assert ended(program, "archive", "get", "link", "--extract", deep / "x") == (
        4,
        f"casync: {said}",
    )
    for name in ("names", "link"):
        unpacking = ("prepare", "--unpack", program.home / name, "--name", f"{name}-tree")
        assert ended(program, *unpacking)[0] == 3
        program.good("pull", f"{name}-tree", "-o", deep / name)
        assert (deep / name / "good").exists()
    new = {*program.home.rglob("*")} - {*program.store.rglob("*")} - before
    assert all(path.is_relative_to(deep) for path in new), new


def test_a_chunk_that_is_damaged_in_the_middle_costs_only_what_is_in_it(program: Program) -> None:
    """A1, A2"""
    rng = random.Random(7)
    members = {f"{number:02}": rng.randbytes(400_000) for number in range(10)}
    archive = b"".join(tar_of(name, data) for name, data in members.items()) + ZEROS
    (program.home / "a.tar").write_bytes(archive)
    program.good("prepare", program.home / "a.tar", "--name", "a.tar")
    program.good("archive", "ls", "a.tar")
    place = members["05"][200_000:200_064]
    for path in filter(Path.is_file, program.store.rglob("*")):
        data = path.read_bytes()
        if place in data:
            path.write_bytes(data.replace(place, place[::-1]))
    for name in ("00", "05", "09"):
        ran = program.run("cat", f"a.tar:{name}")
        assert (ran.status, ran.out == members[name]) == ((4, False) if name == "05" else (0, True))
    status, line = ended(program, "archive", "get", "a.tar", "--extract", "out")
    assert (status, "damaged" in line) == (4, True), line
