"""`archive create` as a user runs it; the archives are read by the usual programs."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.support.archive_programs import archive_program
from tests.support.forked import without_rights
from tests.support.program import COMMAND, Program

MTIME = 1_650_000_001
LONG = "a folder whose name is long/" * 8 + "ü" * 90
TREE = {
    "a.txt": b"text " * 10_000,
    "b/large": random.Random(1).randbytes(5_000_000),
    "b/empty": b"",
    LONG: b"long",
    "ä ö": b"umlauts",
}
ENDINGS = ["tar", "tgz", "tar.gz", "zip", "msgpack"]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    home = tmp_path / "home"
    home.mkdir()
    return Program(home)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    for name, data in TREE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("b/large")
    os.link(folder / "a.txt", folder / "same")
    (folder / "b" / "empty").chmod(0o750)
    for path in sorted(folder.rglob("*"), reverse=True):
        os.utime(path, (MTIME, MTIME), follow_symlinks=False)
    return folder


def gnu_tar(archive: Path, target: Path) -> None:
    subprocess.run(["tar", "-xpf", archive, "-C", target], check=True)


def bsd_tar(archive: Path, target: Path) -> None:
    subprocess.run([archive_program("bsdtar"), "-xpf", archive, "-C", target], check=True)


def info_zip(archive: Path, target: Path) -> None:
    subprocess.run([archive_program("unzip"), "-q", archive, "-d", target], check=True)


def python_tar(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as opened:
        opened.extractall(target, filter="fully_trusted")


READERS: list[tuple[str, Callable[[Path, Path], None]]] = [
    ("tar", gnu_tar),
    ("tar", bsd_tar),
    ("tar", python_tar),
    ("tgz", gnu_tar),
    ("tgz", bsd_tar),
    ("tgz", python_tar),
    ("zip", info_zip),
    ("zip", bsd_tar),
]


def create(program: Program, *arguments: str | Path) -> dict[str, object]:
    ran = program.run("archive", "create", *map(str, arguments), "--json")
    assert ran.status == 0, ran.err
    return ran.document


def content(program: Program, ref: str) -> bytes:
    ran = program.run("cat", ref)
    assert ran.status == 0, ran.err
    return ran.out


def names(program: Program, ref: str) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content(program, ref))) as archive:
        return archive.getnames()


@pytest.mark.parametrize(("ending", "extract"), READERS)
def test_what_is_made_of_a_folder_is_that_folder_again(
    program: Program,
    folder: Path,
    tmp_path: Path,
    ending: str,
    extract: Callable[[Path, Path], None],
) -> None:
    """A3"""
    create(program, f"a.{ending}", folder)
    archive, target = tmp_path / f"a.{ending}", tmp_path / "target"
    archive.write_bytes(content(program, f"a.{ending}"))
    target.mkdir()
    extract(archive, target)
    inside = {path.relative_to(folder) for path in folder.rglob("*")}
    assert {path.relative_to(target) for path in target.rglob("*")} == inside
    for path in inside:
        was, found = (folder / path).lstat(), (target / path).lstat()
        assert was.st_mode == found.st_mode
        if not (folder / path).is_symlink():
            assert found.st_mtime == MTIME
        if (folder / path).is_file():
            assert (target / path).read_bytes() == (folder / path).read_bytes()
    assert (target / "link").readlink() == Path("b/large")
    linked = (target / "same").samefile(target / "a.txt")
    assert linked == (ending != "zip")


def test_gzip_and_zip_find_no_fault(program: Program, folder: Path, tmp_path: Path) -> None:
    """A3"""
    for ending, command in (("tgz", ["gzip", "-t"]), ("zip", [archive_program("unzip"), "-tq"])):
        create(program, f"a.{ending}", folder)
        (tmp_path / f"a.{ending}").write_bytes(content(program, f"a.{ending}"))
        subprocess.run([*command, tmp_path / f"a.{ending}"], check=True)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_members_give_the_same_hash(
    program: Program, folder: Path, tmp_path: Path, ending: str
) -> None:
    """A3"""
    assert program.run("prepare", str(folder), "--name", "tree").status == 0
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", folder, copy], check=True)
    given = [[str(folder)], [str(copy)], ["tree", "--portable"]]
    made = [create(program, f"{i}.{ending}", *one) for i, one in enumerate(given)]
    assert len({one["manifest"] for one in made}) == 1
    assert made[0]["files"] == 6
    planned = create(program, f"4.{ending}", folder, "--dry-run")
    assert planned["manifest"] is None
    assert planned["length"] == (None if ending in ("tgz", "tar.gz") else made[0]["length"])
    assert program.run("cat", f"4.{ending}").status == 9


def test_files_of_the_store_are_members_under_their_names(program: Program, folder: Path) -> None:
    """A3"""
    for number in (1, 2, 4):
        path = folder / "a.txt"
        path.write_bytes(b"%d" % number)
        assert program.run("prepare", str(path), "--name", f"photos/{number}.jpg").status == 0
    assert program.run("prepare", str(folder / "b"), "--name", "b").status == 0
    made = create(program, "photos/range.tar", "--template", "photos/{1..5}.jpg")
    assert (made["files"], made["missing"]) == (3, 2)
    assert names(program, "photos/range.tar") == ["photos/1.jpg", "photos/2.jpg", "photos/4.jpg"]
    create(program, "refs.tar", "photos/2.jpg", "b")
    assert names(program, "refs.tar") == ["photos/2.jpg", "empty", "large"]


def test_members_of_archives_are_members_of_another_one(program: Program, folder: Path) -> None:
    """A3"""
    create(program, "first.tgz", folder)
    create(program, "second.tar", "first.tgz:b/large", "first.tgz:a.txt")
    with tarfile.open(fileobj=io.BytesIO(content(program, "second.tar"))) as archive:
        assert [(one.name, one.size, one.mtime) for one in archive.getmembers()] == [
            ("b/large", len(TREE["b/large"]), MTIME),
            ("a.txt", len(TREE["a.txt"]), MTIME),
        ]


@pytest.mark.parametrize("ending", ["tar", "tgz", "zip"])
def test_members_of_a_folder_in_an_archive_are_selected(
    program: Program, folder: Path, tmp_path: Path, ending: str
) -> None:
    """A3, A8"""
    create(program, f"in/first.{ending}", folder)
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / f"b.{ending}").write_bytes(content(program, f"in/first.{ending}"))
    assert program.run("prepare", str(tmp_path / "box"), "--name", "box").status == 0
    made = create(program, "all.tar", f"in/first.{ending}:")
    assert made["files"] == 6
    create(program, "below.tar", f"in/first.{ending}:b/", "--regex", "^large$")
    assert names(program, "below.tar") == ["large"]
    create(program, "boxed.tar", f"box:b.{ending}/", "--suffix", ".txt")
    assert names(program, "boxed.tar") == ["a.txt"]
    create(program, "keys.zip", f"in/first.{ending}:", "box", "--wdskey", "a")
    with zipfile.ZipFile(io.BytesIO(content(program, "keys.zip"))) as archive:
        assert archive.namelist() == ["a.txt"]
        assert archive.read("a.txt") == TREE["a.txt"]
    create(program, "named.tar", "--template", "in/first." + ending + ":", "--substr", "large")
    assert names(program, "named.tar") == [f"in/first.{ending}/b/large"]


def test_hard_links_of_an_archive_stay_links_where_both_are_taken(
    program: Program, folder: Path
) -> None:
    """A3"""
    create(program, "first.tar", folder)
    for chosen, links in (("^(a.txt|same)$", 1), ("^same$", 0)):
        create(program, "second.tar", "first.tar:", "--regex", chosen)
        with tarfile.open(fileobj=io.BytesIO(content(program, "second.tar"))) as archive:
            assert sum(one.islnk() for one in archive.getmembers()) == links
            same = archive.extractfile("same")
            assert same is not None
            assert same.read() == TREE["a.txt"]
        made = create(program, "second.zip", "first.tar:", "--regex", chosen)
        assert made["files"] == 1 + links


def test_many_members_of_one_archive_read_its_index_once(
    program: Program, folder: Path, tmp_path: Path
) -> None:
    """A3: the order is that of the list"""
    many = tmp_path / "many"
    many.mkdir()
    for number in range(3000):
        (many / f"{number:04}").write_bytes(b"%d" % number)
    create(program, "many.tgz", many)
    order = [f"{number:04}" for number in range(2999, 0, -7)]
    text = "".join(f"many.tgz:{name}\n" for name in order).encode()
    ran = program.run("archive", "create", "some.tar", "--list", "-", stdin=text)
    assert ran.status == 0, ran.err
    with tarfile.open(fileobj=io.BytesIO(content(program, "some.tar"))) as archive:
        assert archive.getnames() == order


def test_a_prefix_takes_all_names_but_that_of_the_archive(program: Program, folder: Path) -> None:
    """A3"""
    for name in ("p/1", "p/2", "q"):
        assert program.run("prepare", str(folder / "a.txt"), "--name", name).status == 0
    first = create(program, "p/all.msgpack", "--prefix", "p/")
    found = msgspec.msgpack.decode(content(program, "p/all.msgpack"))
    assert found == {"p/1": TREE["a.txt"], "p/2": TREE["a.txt"]}
    assert create(program, "p/all.msgpack", "--prefix", "p/")["manifest"] == first["manifest"]


def test_a_list_gives_members_paths_of_their_own(
    program: Program, folder: Path, tmp_path: Path
) -> None:
    """A3"""
    assert program.run("prepare", str(folder), "--name", "tree").status == 0
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps({"x/1": "tree:a.txt", "x/2": "tree:b"}))
    create(program, "listed.zip", "--list", listed)
    with zipfile.ZipFile(io.BytesIO(content(program, "listed.zip"))) as archive:
        assert archive.namelist() == ["x/1", "x/2/empty", "x/2/large"]
        assert archive.read("x/2/large") == TREE["b/large"]
        assert archive.getinfo("x/1").date_time[0] == 2022
    listed.write_text("tree:a.txt\ntree:none\n")
    ran = program.run("archive", "create", "listed.zip", "--list", str(listed))
    assert ran.status == 9
    assert "tree has no none" in ran.err


@pytest.mark.parametrize("line", ["../x", "tree:../x", "tree:a.txt,../x\u202e"])
def test_a_path_in_a_list_that_leads_out_is_refused_and_shown_as_text(
    program: Program, folder: Path, tmp_path: Path, line: str
) -> None:
    """A3"""
    assert program.run("prepare", str(folder), "--name", "tree").status == 0
    listed = tmp_path / "list"
    listed.write_text(line + "\n")
    ran = program.run("archive", "create", "listed.tar", "--list", str(listed))
    assert ran.status == 2
    assert ran.err.startswith("casync: entry 1: a ")
    assert "../x" in ran.err
    assert "b'" not in ran.err
    assert "\u202e" not in ran.err


def test_two_members_with_one_path_are_refused(program: Program, folder: Path) -> None:
    """A3"""
    assert program.run("prepare", str(folder), "--name", "tree").status == 0
    create(program, "once.tar", "tree:b", "tree:b/large")
    ran = program.run("archive", "create", "twice.tar", "tree", "tree:b/large")
    assert ran.status == 2
    assert "several members would have the path" in ran.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["a.rar", "./folder"], "does not end like an archive"),
        (["a.tar"], "made from one of"),
        (["a.tar", "x", "--prefix", "y"], "made from one of"),
        (["a.tar", "./folder", "x"], "only input of an archive"),
        (["a.tar", "--template", "x/%06d"], "has no end"),
        (["a.tar", "--template", "x/{0..99999999}"], "100000000 texts"),
        (["a.tar", "--list", "-"], "list is empty"),
        (["a.tar", "./folder", "--suffix", ".cls"], "selects from what is in the store"),
    ],
)
def test_what_makes_no_archive_is_refused(
    program: Program, arguments: list[str], text: str
) -> None:
    program.run("prepare", stdin=b"")
    ran = program.run("archive", "create", *arguments)
    assert ran.status == 2
    assert text in ran.err


def test_a_file_that_cannot_be_read_ends_it_without_an_archive(
    program: Program, folder: Path
) -> None:
    os.mkfifo(folder / "pipe")
    made = create(program, "a.tar", folder)
    assert made["left_out"] == 1
    (folder / "a.txt").chmod(0)
    told = subprocess.run(
        [*without_rights(), *COMMAND, "archive", "create", "b.tar", str(folder)],
        capture_output=True,
        check=False,
        env=program.environment,
    )
    assert told.returncode == 8, told.stderr
    assert program.run("cat", "b.tar").status == 9


@pytest.mark.parametrize("there", ["nothing", "a file"])
def test_without_its_folder_no_store_is_made(program: Program, there: str) -> None:
    if there == "a file":
        (program.home / "images").write_bytes(b"x")
    told = program.run("archive", "create", "a.tar", "./images")
    assert "images" in told.err
    assert told.status in (2, 9)
    assert not (program.home / "store").exists()


def test_a_dry_run_writes_nothing_to_a_store_that_cannot_be_written(
    program: Program, folder: Path
) -> None:
    program.good("archive", "create", "a.tar", folder)
    data = program.home / "store" / "data.mdb"
    before = data.read_bytes()
    data.chmod(0o400)
    (program.home / "store").chmod(0o500)
    wanted = [
        *without_rights(),
        *COMMAND,
        *("archive", "create", "b.zip", "a.tar:", "--dry-run"),
    ]
    told = subprocess.run(
        wanted, capture_output=True, text=True, check=False, env=program.environment
    )
    (program.home / "store").chmod(0o700)
    assert (told.returncode, told.stdout) == (0, ""), told.stderr
    assert "6 files" in told.stderr
    assert data.read_bytes() == before


def test_a_folder_that_is_taken_for_a_name_is_offered(program: Program) -> None:
    (program.home / "d").mkdir()
    program.good("prepare", "d")
    ran = program.run("archive", "create", "b.tar", "d")
    assert (ran.status, "For the folder d on this machine write ./d." in ran.err) == (9, True)
