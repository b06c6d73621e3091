"""`archive get --extract`, and several members as one tar."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.archive_programs import archive_program
from tests.support.program import Program, Ran
from tests.support.serving import serving

MTIME = 1_650_000_001
FILES = {
    **{f"train/{n}.{kind}": f"{kind} {n}".encode() * 400 for n in range(9) for kind in ("a", "b")},
    "deep/er/ü": os.urandom(3_000_000),
    "empty": b"",
    "run": b"#!/bin/sh\n",
}


def tell(folder: Path) -> dict[str, tuple[object, ...]]:
    """What is in a folder: kinds, modes, times and bytes."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        is_link = stat.S_ISLNK(status.st_mode)
        data = os.readlink(path) if is_link else path.read_bytes() if path.is_file() else None
        mode = None if is_link else status.st_mode
        time = None if is_link else status.st_mtime
        found[str(path.relative_to(folder))] = (mode, time, status.st_nlink, data)
    return found


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A store with `a.tar`, `a.tgz`, `a.tar.zst` and `a.zip` of one folder."""
    program = Program(tmp_path_factory.mktemp("home"))
    source = program.home / "source"
    for name, data in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    (source / "run").chmod(0o755)
    (source / "hollow").mkdir()
    (source / "link").symlink_to("train/1.a")
    os.link(source / "run", source / "same")
    for path in sorted(source.rglob("*"), reverse=True):
        os.utime(path, (MTIME, MTIME), follow_symlinks=False)
    (source / "deep").chmod(0o555)
    home = program.home
    for ending, how in (("tar", "cf"), ("tgz", "czf")):
        subprocess.run(["tar", "-C", source, f"-{how}", home / f"a.{ending}", "."], check=True)
    command = [archive_program("zip"), "-qry", str(home / "a.zip"), "."]
    subprocess.run(command, cwd=source, check=True)
    for ending in ("tar", "tgz", "zip"):
        program.good("prepare", home / f"a.{ending}", "--name", f"a.{ending}")
    return program


def by_gnu_tar(archive: Path, target: Path) -> None:
    subprocess.run(["tar", "-xpf", archive, "-C", target], check=True)


def by_unzip(archive: Path, target: Path) -> None:
    subprocess.run([archive_program("unzip"), "-q", archive, "-d", target], check=True)


WAYS: list[tuple[str, Callable[[Path, Path], None]]] = [
    ("tar", by_gnu_tar),
    ("tgz", by_gnu_tar),
    ("zip", by_unzip),
]


@pytest.mark.parametrize(("ending", "other"), WAYS)
@pytest.mark.parametrize("served", [False, True])
def test_what_is_extracted_is_what_other_programs_extract(
    program: Program,
    tmp_path: Path,
    ending: str,
    other: Callable[[Path, Path], None],
    served: bool,
) -> None:
    """A2"""
    (tmp_path / "theirs").mkdir()
    other(program.home / f"a.{ending}", tmp_path / "theirs")
    command = ["archive", "get", f"a.{ending}", "--extract", str(tmp_path / "ours"), "--json"]
    if served:
        with serving(program.store) as server:
            own = ["--store", str(tmp_path / "own"), "--server", server.url]
            done = program.good(*command, *own).document
    else:
        done = program.good(*command).document
    assert tell(tmp_path / "ours") == tell(tmp_path / "theirs")
    assert done["files"] + done["links"] == len(FILES) + 2
    before = tell(tmp_path / "ours")
    program.good("archive", "get", f"a.{ending}", "--extract", tmp_path / "ours")
    assert tell(tmp_path / "ours") == before
    assert set(os.listdir(tmp_path)) <= {"ours", "own", "theirs"}


@pytest.mark.parametrize("ending", ["tar", "tgz", "zip"])
def test_a_folder_and_chosen_members_are_extracted(
    program: Program, tmp_path: Path, ending: str
) -> None:
    """A8"""
    ref = f"a.{ending}"
    program.good("archive", "get", f"{ref}:train", "--extract", tmp_path / "a", "--wdskey", "7")
    assert sorted(os.listdir(tmp_path / "a")) == ["7.a", "7.b"]
    program.good("archive", "get", f"{ref}:deep/", "--extract", tmp_path / "b")
    assert (tmp_path / "b" / "er" / "ü").read_bytes() == FILES["deep/er/ü"]
    program.good("archive", "get", ref, "--extract", tmp_path / "c", "--regex", r"[02]\.a$")
    assert sorted(os.listdir(tmp_path / "c" / "train")) == ["0.a", "2.a"]
    planned = program.good(
        *("archive", "get", ref, "--extract", tmp_path / "d", "--suffix", ".b", "--dry-run"),
        "--json",
    ).document
    assert (planned["files"], (tmp_path / "d").exists()) == (9, False)
    assert planned["length"] == sum(len(FILES[f"train/{n}.b"]) for n in range(9))


@pytest.mark.parametrize("ending", ["tar", "tgz", "zip"])
def test_chosen_members_come_as_one_tar(program: Program, tmp_path: Path, ending: str) -> None:
    """A8: as AIStore answers a regex"""
    ref = f"a.{ending}"
    out = program.run("archive", "get", ref, "--suffix", ".b", "-o", "-").out
    with tarfile.open(fileobj=io.BytesIO(out)) as tar:
        found = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
    assert found == {name: data for name, data in FILES.items() if name.endswith(".b")}
    program.good("archive", "get", ref, "--regex", "^(run|same)$", "-o", tmp_path / "two.tar")
    with tarfile.open(tmp_path / "two.tar") as tar:
        assert sorted(tar.getnames()) == ["run", "same"]
        assert tar.getmember("run").mode == 0o755
        (tmp_path / "x").mkdir()
        tar.extractall(tmp_path / "x", filter="fully_trusted")
    assert (tmp_path / "x" / "same").read_bytes() == FILES["run"]


class Hostile:
    """An archive with members that another one would not have."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._data = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._data, mode="w")
        self.target = folder / "target"
        self.outside = folder / "outside"
        self.outside.write_bytes(b"outside")
        self.document: dict[str, Any] = {}

    def file(self, name: str, data: bytes = b"new", mode: int = 0o644) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), mode
        self._tar.addfile(info, io.BytesIO(data))

    def other(self, name: str, kind: bytes, target: str = "", mode: int = 0o755) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode = kind, target, mode
        self._tar.addfile(info)

    def extract(self, *options: str | Path) -> tuple[int, str]:
        self._tar.close()
        name = f"hostile/{self._folder.name}"
        self._program.good("prepare", "--name", name, stdin=self._data.getvalue())
        done = self._program.run("archive", "get", name, "--extract", self.target, *options)
        assert self.outside.read_bytes() == b"outside"
        assert set(os.listdir(self._folder)) <= {"outside", "target"}
        if "--json" in options:
            self.document = done.document
        return done.status, done.err

    def listed(self) -> Ran:
        return self._program.good("archive", "ls", f"hostile/{self._folder.name}", "--json")

    @property
    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.target)) for path in self.target.rglob("*"))


@pytest.fixture
def hostile(program: Program, tmp_path: Path) -> Hostile:
    return Hostile(program, tmp_path)


def test_names_that_lead_out_are_left_out_and_absolute_ones_stay_inside(hostile: Hostile) -> None:
    hostile.file("../outside")
    hostile.file("a/../../outside")
    hostile.file("/etc/file")
    hostile.file("./here//file")
    hostile.other("./", tarfile.DIRTYPE)
    status, said = hostile.extract()
    assert status == 0
    assert hostile.names == ["etc", "etc/file", "here", "here/file"]
    why = "its name leads out of the archive, or is too long"
    assert said.count(why) == 2
    assert f"left out: ../outside: {why}\n" in said
    assert "warning: 2 members left out\n" in said
    assert "left out" not in hostile.extract("--prefix", "etc/")[1]


def test_nothing_is_written_through_a_link_of_the_archive(hostile: Hostile) -> None:
    hostile.other("link", tarfile.SYMTYPE, "..")
    hostile.file("link/outside")
    status, said = hostile.extract()
    assert (status, hostile.target.exists()) == (4, False)
    assert "Leave it out with --regex '^(?!link/outside$)'." in said
    assert "has link/outside, but link is not a folder" in said


def test_nothing_is_written_through_a_link_that_is_there(hostile: Hostile) -> None:
    hostile.target.mkdir()
    (hostile.target / "a").symlink_to("..")
    (hostile.target / "b").symlink_to("../outside")
    hostile.file("a/outside")
    hostile.file("b")
    assert hostile.extract()[0] == 0
    assert not (hostile.target / "a").is_symlink()
    assert (hostile.target / "b").read_bytes() == b"new"


def test_links_that_lead_out_are_made_and_not_followed(hostile: Hostile) -> None:
    hostile.other("away", tarfile.SYMTYPE, "../outside", mode=0o777)
    hostile.file("away2")
    assert hostile.extract()[0] == 0
    assert os.readlink(hostile.target / "away") == "../outside"


@pytest.mark.parametrize("target", ["../outside", "/etc/passwd", "missing"])
def test_hard_links_lead_to_members_only(hostile: Hostile, target: str) -> None:
    hostile.file("file")
    hostile.other("hard", tarfile.LNKTYPE, target)
    status, said = hostile.extract()
    assert (status, hostile.target.exists()) == (9, False)
    assert f"hard is a hard link to {target}, which is not in the archive" in said
    assert "Leave it out with --regex '^(?!hard$)'." in said
    assert "Choose members without it." in hostile.extract("--prefix", "hard")[1]
    assert hostile.extract("--regex", "^(?!hard$)")[0] == 0
    assert hostile.names == ["file"]


def test_a_hard_link_may_come_before_its_member(hostile: Hostile) -> None:
    hostile.other("early", tarfile.LNKTYPE, "late")
    hostile.file("late", b"bytes")
    assert hostile.extract()[0] == 0
    assert (hostile.target / "early").read_bytes() == b"bytes"
    assert (hostile.target / "early").samefile(hostile.target / "late")


def test_a_hard_link_to_a_member_that_is_not_chosen_is_a_file(hostile: Hostile) -> None:
    hostile.file("first", b"bytes")
    hostile.other("second", tarfile.LNKTYPE, "first")
    assert hostile.extract("--prefix", "second")[0] == 0
    assert hostile.names == ["second"]
    assert (hostile.target / "second").read_bytes() == b"bytes"


def test_the_last_of_several_members_wins(hostile: Hostile) -> None:
    hostile.file("twice", b"old")
    hostile.other("twice", tarfile.SYMTYPE, "../outside")
    hostile.file("twice", b"new")
    hostile.file("folder", b"a file first")
    hostile.other("folder", tarfile.DIRTYPE)
    hostile.file("folder/in")
    assert hostile.extract()[0] == 0
    assert (hostile.target / "twice").read_bytes() == b"new"
    assert hostile.names == ["folder", "folder/in", "twice"]


def test_devices_and_pipes_are_left_out_and_setuid_is_dropped(hostile: Hostile) -> None:
    hostile.other("null", tarfile.CHRTYPE)
    hostile.other("pipe", tarfile.FIFOTYPE)
    hostile.file("setuid", mode=0o6755)
    status, said = hostile.extract()
    assert (status, hostile.names) == (0, ["setuid"])
    assert (hostile.target / "setuid").stat().st_mode & 0o7777 == 0o755
    assert "left out: null: it is a device or a pipe\n" in said
    assert "warning: 2 members left out\n" in said


def test_what_is_left_out_is_in_json_and_in_listings(hostile: Hostile) -> None:
    """A2"""
    for number in range(120):
        hostile.file(f"../{number}")
    hostile.other("pipe", tarfile.FIFOTYPE)
    hostile.file("inside")
    done = hostile.extract("--json")
    assert done[0] == 0
    document = hostile.document
    assert (document["files"], document["left_out"]) == (1, 121)
    names = document["left_out_names"]
    assert names[:2] == [
        {"path": "pipe", "reason": "it is a device or a pipe"},
        {"path": "../0", "reason": "its name leads out of the archive, or is too long"},
    ]
    assert len(names) == 100
    listed = hostile.listed()
    assert listed.document["left_out"] == 120
    assert [one["path"] for one in listed.document["entries"]] == ["inside", "pipe"]
    assert "warning: 120 members left out" in listed.err


def test_folders_take_the_place_of_files_but_not_the_other_way(hostile: Hostile) -> None:
    hostile.target.mkdir()
    (hostile.target / "a").write_bytes(b"a file")
    (hostile.target / "b").mkdir()
    hostile.file("a/b")
    hostile.file("b")
    assert hostile.extract()[0] == 0
    assert hostile.names == ["a", "a/b", "b"]


def test_a_folder_with_something_in_it_is_not_replaced(hostile: Hostile) -> None:
    (hostile.target / "b" / "c").mkdir(parents=True)
    hostile.file("a")
    hostile.file("b")
    status, said = hostile.extract()
    assert (status, hostile.names) == (1, ["b", "b/c"])
    assert "is a folder that is not empty" in said


def test_folders_may_keep_their_owner_out(hostile: Hostile) -> None:
    hostile.other("shut", tarfile.DIRTYPE, mode=0o000)
    hostile.other("shut/in", tarfile.DIRTYPE, mode=0o555)
    hostile.file("shut/in/file")
    for _ in range(2):
        assert hostile.extract()[0] == 0
    assert (hostile.target / "shut").stat().st_mode & 0o777 == 0
    (hostile.target / "shut").chmod(0o700)
    assert hostile.names == ["shut", "shut/in", "shut/in/file"]


def test_the_name_of_the_staging_folder_is_refused(hostile: Hostile) -> None:
    hostile.file(".casync-part/file")
    assert hostile.extract()[0] == 10
    assert not hostile.target.exists()


def test_what_cannot_be_read_is_refused_before_anything_is_written(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "sparse").write_bytes(b"")
    os.truncate(tmp_path / "sparse", 10_000_000)
    (tmp_path / "a").write_bytes(b"a")
    command = ["tar", "-C", str(tmp_path), "--sparse", "-cf", str(tmp_path / "s.tar")]
    subprocess.run([*command, "a", "sparse"], check=True)
    program.good("prepare", tmp_path / "s.tar", "--name", "sparse.tar")
    for way in (["--extract"], ["--regex", ".", "-o"]):
        done = program.run("archive", "get", "sparse.tar", *way, tmp_path / "out")
        assert (done.status, (tmp_path / "out").exists()) == (10, False)
        assert "sparse" in done.err


@pytest.mark.parametrize("length", [100, 10_000_000])
def test_a_member_of_another_length_than_said_is_not_written(
    program: Program, tmp_path: Path, length: int
) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(1_000_000))
    raw = bytearray(data.getvalue())
    at = raw.rindex(b"PK\1\2") + 24
    raw[at : at + 4] = length.to_bytes(4, "little")
    program.good("prepare", "--name", f"bomb/{length}.zip", stdin=bytes(raw))
    done = program.run("archive", "get", f"bomb/{length}.zip", "--extract", tmp_path / "out")
    assert done.status == 4
    assert list((tmp_path / "out").rglob("*")) == []


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("a.tar", 2, "--extract DIR writes all"),
        ("a.tar --prefix train/", 2, "Name the tar with -o FILE"),
        ("a.tar --extract x -o y", 2, "do not go together"),
        ("a.tar --extract x --prefix nothing", 9, "`casync archive ls a.tar` lists"),
        ("a.tar --regex nothing -o x", 9, "`casync archive ls a.tar` lists"),
        ("a.tar:nothing --extract x", 9, "has no nothing"),
        ("a.tar:run --extract x", 2, "run is not a folder"),
        ("a.tar:train -o x", 2, "--extract DIR"),
        ("a.tar --extract missing/x", 1, "there is no folder"),
        ("a.tar --extract a.zip", 1, "is not a folder"),
    ],
)
def test_mistakes_are_told(program: Program, command: str, status: int, said: str) -> None:
    done = program.run("archive", "get", *command.split())
    assert (done.status, said in done.err) == (status, True), done
    assert not (program.home / "x").exists()
