"""`archive append` as a user runs it; the archives are read by the usual programs."""

from __future__ import annotations

import io
import random
import signal
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from tests.support.archive_programs import archive_program
from tests.support.program import Program

MB = 1_000_000
FORMATS = ["tar", "tgz", "zip", "msgpack"]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    home = tmp_path / "home"
    home.mkdir()
    return Program(home)


def append(program: Program, *arguments: str | Path, stdin: bytes = b"") -> dict[str, object]:
    return program.good("archive", "append", *arguments, "--json", stdin=stdin).document


def content(program: Program, name: str) -> bytes:
    return program.good("cat", name).out


def members(form: str, data: bytes) -> dict[str, bytes]:
    if form == "msgpack":
        return dict(msgspec.msgpack.decode(data))
    if form == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar:
            opened = tar.extractfile(info)
            found[info.name] = b"" if opened is None else opened.read()
    return found


def folder_of(tmp_path: Path, **contents: bytes) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


def gnu_tar(archive: Path, target: Path) -> None:
    subprocess.run(["tar", "-xpf", archive, "-C", target], check=True)


def bsd_tar(archive: Path, target: Path) -> None:
    subprocess.run([archive_program("bsdtar"), "-xpf", archive, "-C", target], check=True)


def info_zip(archive: Path, target: Path) -> None:
    subprocess.run([archive_program("unzip"), "-tq", archive], check=True)
    subprocess.run([archive_program("unzip"), "-q", archive, "-d", target], check=True)


def unpack_msgpack(archive: Path, target: Path) -> None:
    for name, data in msgspec.msgpack.decode(archive.read_bytes()).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)


READERS: list[tuple[str, Callable[[Path, Path], None]]] = [
    ("tar", gnu_tar),
    ("tar", bsd_tar),
    ("tgz", gnu_tar),
    ("tgz", bsd_tar),
    ("zip", info_zip),
    ("zip", bsd_tar),
    ("msgpack", unpack_msgpack),
]


@pytest.mark.parametrize(("form", "extract"), READERS)
def test_what_has_grown_is_read_by_the_usual_programs(
    program: Program, tmp_path: Path, form: str, extract: Callable[[Path, Path], None]
) -> None:
    """A4"""
    folder = folder_of(tmp_path, a=b"text " * 10_000, b=random.Random(1).randbytes(300_000))
    (folder / "empty").touch()
    program.good("archive", "create", f"x.{form}", f"{folder}/")
    for number in range(5):
        new = tmp_path / f"new-{number}"
        new.write_bytes(b"%d" % number * 100_000)
        append(program, f"x.{form}", new)
    append(program, f"x.{form}", folder)
    append(program, f"x.{form}", "-", "--as", "deep/er/stdin", stdin=b"streamed")
    archive, target = tmp_path / f"x.{form}", tmp_path / "target"
    archive.write_bytes(content(program, f"x.{form}"))
    target.mkdir()
    extract(archive, target)
    found = {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {
        **old,
        **{f"folder/{name}": data for name, data in old.items()},
        **{f"new-{number}": b"%d" % number * 100_000 for number in range(5)},
        "deep/er/stdin": b"streamed",
    }
    if form == "tgz":
        subprocess.run(["gzip", "-t", archive], check=True)


@pytest.mark.parametrize("form", FORMATS)
def test_a_megabyte_in_a_hundred_costs_a_megabyte(
    program: Program, tmp_path: Path, form: str
) -> None:
    """A4"""
    source = random.Random(form)
    folder = folder_of(tmp_path, **{f"{i:03}": source.randbytes(10 * MB) for i in range(10)})
    program.good("archive", "create", f"x.{form}", f"{folder}/")
    new = tmp_path / "new"
    new.write_bytes(source.randbytes(MB))
    done = append(program, f"x.{form}", new)
    assert isinstance(done["stored"], int)
    assert isinstance(done["new"], int)
    assert MB <= done["stored"] < 1.3 * MB
    assert done["new"] < 100
    assert (done["version"], done["files"], done["plain"]) == (2, 1, MB)
    listed = program.good("archive", "ls", f"x.{form}").lines
    assert listed == [*(f"{i:03}" for i in range(10)), "new"]
    assert content(program, f"x.{form}:new") == new.read_bytes()
    assert content(program, f"x.{form}:009") == (folder / "009").read_bytes()


@pytest.mark.parametrize("form", FORMATS)
def test_appenders_at_the_same_time_lose_nothing(
    program: Program, tmp_path: Path, form: str
) -> None:
    """A4"""
    program.good("prepare", "--name", f"x.{form}")
    expected = {f"{worker}-{number}": b"" for worker in range(4) for number in range(4)}
    for name in expected:
        expected[name] = random.Random(name).randbytes(50_000)
        (tmp_path / name).write_bytes(expected[name])

    def append_four(worker: int) -> None:
        for number in range(4):
            append(program, f"x.{form}", tmp_path / f"{worker}-{number}")

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(append_four, range(4)))
    assert members(form, content(program, f"x.{form}")) == expected
    assert len(program.good("name", "log", f"x.{form}").lines) == 17
    assert program.good("archive", "ls", f"x.{form}").lines == sorted(expected)


@pytest.mark.parametrize("form", FORMATS)
def test_a_killed_append_leaves_the_old_version_whole(
    program: Program, tmp_path: Path, form: str
) -> None:
    """A4"""
    folder = folder_of(tmp_path, a=random.Random(1).randbytes(MB))
    program.good("archive", "create", f"x.{form}", f"{folder}/")
    before = content(program, f"x.{form}")
    new = tmp_path / "new"
    new.write_bytes(random.Random(2).randbytes(15 * MB))
    data_file = program.store / "data.mdb"
    for step in range(3):
        at = data_file.stat().st_blocks
        with program.start("archive", "append", f"x.{form}", new, "--as", f"{step}") as process:
            while process.poll() is None and data_file.stat().st_blocks < at + step * 2_000 + 1:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        versions = len(program.good("name", "log", f"x.{form}").lines)
        assert content(program, f"x.{form}@1") == before
        if process.returncode == -signal.SIGKILL and versions == 1:
            assert content(program, f"x.{form}") == before
    program.good("verify")
    append(program, f"x.{form}", new)
    assert members(form, content(program, f"x.{form}"))["new"] == new.read_bytes()


def test_what_went_wrong_is_said_in_one_line(program: Program, tmp_path: Path) -> None:
    """A4"""
    new = tmp_path / "new"
    new.write_bytes(b"new")
    program.good("prepare", "--name", "text", stdin=b"no archive")
    program.good("prepare", "--name", "a.tar", stdin=b"no archive")
    program.good("prepare", str(tmp_path / "home"), "--name", "tree")
    append(program, "b.tar", new, "--create")
    for arguments, status, text in (
        (["text", new], 2, "text is not an archive"),
        (["tree", new], 2, "tree is a folder"),
        (["a.tar", new], 4, "a.tar is not tar"),
        (["missing.tar", new], 9, "there is no archive missing.tar. --create makes it"),
        (["c.rar", new, "--create"], 2, "does not end like an archive"),
        (["b.tar", new], 2, "b.tar has a member new already. Give --on-duplicate"),
        (["b.tar", new, "--as", "../x"], 2, "cannot have the path ../x"),
        (["b.tar", new, new, "--as", "x"], 2, "go with one member only"),
        (["b.tar", new, new, "--as", "x/"], 2, "several members would have the path x/"),
        (["b.tar", "-", "--as", "x/"], 2, "stdin has no name"),
        (["b.tar", "-"], 2, "stdin has no name"),
        (["b.tar", tmp_path / "none"], 9, "there is no file"),
        (["b.tar", "/dev/null"], 2, "neither a file nor a folder"),
        (["b.tar", new, "--as", "x", "--expect", "7"], 7, "is at version 1, not at 7"),
        (["b.tar", new, "--on-duplicate", "both"], 2, "none of error, replace, keep"),
    ):
        ran = program.run("archive", "append", *arguments)
        assert ran.status == status, ran
        assert text in ran.err
        assert ran.err.count("\n") == 1
    assert len(program.good("name", "log", "b.tar").lines) == 1


def test_many_files_are_put_into_a_folder(program: Program, tmp_path: Path) -> None:
    """A4"""
    (tmp_path / "in").mkdir()
    for name in ("one", "two", "in/three"):
        (tmp_path / name).write_text(name)
    given = [tmp_path / name for name in ("one", "two", "in")]
    program.good("archive", "append", "a.tar", *given, "--as", "x/y/", "--create")
    listed = program.good("archive", "ls", "a.tar").lines
    assert listed == ["x/y/in", "x/y/in/three", "x/y/one", "x/y/two"]


def test_a_summary_says_what_was_done(program: Program, tmp_path: Path) -> None:
    """A4"""
    new = tmp_path / "new"
    new.write_bytes(b"new")
    ran = program.good("archive", "append", "a.tar", new, "--create")
    assert ran.lines == [
        program.good("name", "log", "a.tar", "--json").document["versions"][0]["manifest"]
    ]
    assert "1 file: 3 B, 2.00 KiB in all" in ran.err
    assert "named a.tar@1" in ran.err
    ran = program.good("archive", "append", "a.tar", new, "--on-duplicate", "keep")
    assert "1 file skipped: there already" in ran.err
    assert "named a.tar@1" in ran.err
    ran = program.good("archive", "append", "a.tar", new, "--on-duplicate", "replace")
    assert "replaced 1 member" in ran.err
    assert "named a.tar@2" in ran.err


def test_output_that_cannot_be_written_is_an_error_after_the_append(
    program: Program, tmp_path: Path
) -> None:
    """A4"""
    new = tmp_path / "new"
    new.write_bytes(b"new")
    with (
        open("/dev/full", "wb") as full,
        program.start("archive", "append", "a.tar", new, "--create", stdout=full) as process,
    ):
        assert process.wait(60) == 1
    assert program.good("archive", "ls", "a.tar").lines == ["new"]
