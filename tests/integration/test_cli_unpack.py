"""`prepare --unpack`: archives as folders, judged by the programs that made them."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path

import msgspec
import pytest

from tests.support.archive_programs import archive_program
from tests.support.folder_worlds import seen
from tests.support.program import Program
from tests.support.web_servers import http_server

LAYOUTS = [
    "--format=v7 --exclude=./pipe",
    "--format=ustar",
    "--format=oldgnu",
    "--format=gnu",
    "--format=posix",
    "--format=gnu --sparse",
    "--format=posix --sparse --sparse-version=0.1",
    "--format=posix --sparse --sparse-version=1.0",
]
COMPRESSORS = {"tgz": ["gzip", "-c"], "tar.zst": ["zstd", "-qc"], "tar.lz4": ["lz4", "-qc"]}


def made(root: Path) -> Path:
    """A folder with all that a tar may hold, and that any user may make."""
    rng = random.Random(3)
    (root / "deep" / ("d" * 60) / ("e" * 30)).mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a").write_bytes(rng.randbytes(100_000))
    (root / "deep" / ("d" * 60) / ("e" * 30) / "z").write_bytes(b"deep")
    (root / "large").write_bytes(rng.randbytes(2_500_000))
    (root / "nothing").touch()
    (root / "hard").hardlink_to(root / "a")
    (root / "soft").symlink_to("deep/../a")
    (root / "out").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe")
    with (root / "sparse").open("wb") as file:
        file.truncate(3_000_000)
        file.seek(1_000_000)
        file.write(b"data")
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        if not path.is_symlink():
            os.utime(path, ns=(0, 1_700_000_000_123_456_789 + number * 1_000_000_007))
    (root / "empty").chmod(0o711)
    (root / "a").chmod(0o640)
    root.chmod(0o750)
    os.utime(root, ns=(0, 1_600_000_000_987_654_321))
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("world") / "folder")


def packed(folder: Path, out: Path, *how: str) -> Path:
    subprocess.run(["tar", "-C", folder, *how, "-cf", out, "."], check=True)
    return out


def pulled(program: Program, ref: str) -> Path:
    target = program.home / "pulled"
    program.good("pull", ref, "-o", target)
    return target


def extracted(program: Program, archive: Path) -> Path:
    target = program.home / "extracted"
    target.mkdir()
    subprocess.run(["tar", "-C", target, "-xpf", archive], check=True)
    return target


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_pulled_archive_is_what_gnu_tar_extracts(
    program: Program, folder: Path, layout: str
) -> None:
    """A1"""
    archive = packed(folder, program.home / "a.tar", *layout.split())
    program.good("prepare", "--unpack", archive, "--name", "a")
    expected = seen(extracted(program, archive))
    expected.pop("pipe", None)  # pulled with --exact only
    assert seen(pulled(program, "a")) == expected


def test_a_pax_archive_of_a_folder_has_the_hash_of_the_folder(
    program: Program, folder: Path
) -> None:
    """A1"""
    os.setxattr(folder / "a", "user.color", b"blue\0")
    try:
        expected = program.good("prepare", folder).out
        archive = packed(folder, program.home / "a.tar", "--format=posix", "--xattrs")
        assert program.good("prepare", "--unpack", archive).out == expected
        bsdtar = [archive_program("bsdtar"), "--format=pax", "-C", str(folder), "-c", "."]
        data = subprocess.run(bsdtar, capture_output=True, check=True).stdout
        assert program.good("prepare", "--unpack", stdin=data).out == expected
    finally:
        os.removexattr(folder / "a", "user.color")


def test_versions_share_files_whatever_they_were_compressed_with(program: Program) -> None:
    """A1: one version as .tgz, the next as .tar.zst, and one as .tar.lz4."""
    rng = random.Random(5)
    folder = program.home / "folder"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number:02d}").write_bytes(rng.randbytes(50_000))
    documents = []
    for ending, command in COMPRESSORS.items():
        plain = packed(folder, program.home / "plain.tar", "--mtime=@1", "--sort=name")
        archive = program.home / f"v.{ending}"
        with archive.open("wb") as out:
            subprocess.run([*command, plain], stdout=out, check=True)
        documents.append(
            json.loads(program.good("prepare", "--unpack", archive, "--name", "v", "--json").out)
        )
        for number in (7, 33):
            (folder / f"{number:02d}").write_bytes(rng.randbytes(50_000))
    first, second, third = documents
    assert first["files"] == second["files"] == 60
    assert first["new_length"] > 60 * 50_000
    for later in (second, third):
        assert later["new_length"] <= 2 * 50_000 + 20_000
        assert later["schema"] == "casync.prepare-folder/1"
    assert program.good("cat", "v@1:07").out != program.good("cat", "v@2:07").out


@pytest.mark.parametrize("how", ["file", "stdin", "url"])
@pytest.mark.parametrize("ending", ["tar", "tgz", "zip", "msgpack"])
def test_archives_come_from_files_stdin_and_urls(
    program: Program, how: str, ending: str, tmp_path: Path
) -> None:
    """A1, A6"""
    files = {"a": b"1" * 9000, "d/b": random.Random(1).randbytes(1_200_000)}
    folder = tmp_path / "in"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (tmp_path / "served").mkdir()
    archive = tmp_path / "served" / f"x.{ending}"
    match ending:
        case "tar" | "tgz":
            packed(folder, archive, *(["-z"] if ending == "tgz" else []))
        case "zip":
            program_zip = archive_program("zip")
            subprocess.run([program_zip, "-qry", archive, "."], cwd=folder, check=True)
        case _:
            archive.write_bytes(msgspec.msgpack.encode(files))
    options = ("prepare", "--unpack", "--name", "x")
    if how == "url":
        with http_server(tmp_path / "served") as url:
            program.good(*options, f"{url}/{archive.name}")
    elif how == "stdin":
        program.good(*options, stdin=archive.read_bytes())
    else:
        program.good(*options, archive)
    found = pulled(program, "x")
    for name, data in files.items():
        assert (found / name).read_bytes() == data


def test_a_zip_of_info_zip_is_what_unzip_extracts(program: Program, folder: Path) -> None:
    """A1"""
    archive = program.home / "a.zip"
    command = [archive_program("zip"), "-qry", str(archive), ".", "-x", "pipe"]
    subprocess.run(command, cwd=folder, check=True)
    program.good("prepare", "--unpack", archive, "--name", "a")
    target = program.home / "extracted"
    subprocess.run([archive_program("unzip"), "-qq", archive, "-d", target], check=True)
    ours, theirs = seen(pulled(program, "a")), seen(target)
    for path in (".", "soft", "out"):  # no root in a zip; unzip gives links no times
        ours.pop(path), theirs.pop(path)
    assert ours == theirs
    assert os.readlink(program.home / "pulled" / "out") == "/etc/passwd"


@pytest.mark.parametrize("cut", [0.3, 0.9, 0.999])
def test_a_truncated_archive_sets_no_name(program: Program, folder: Path, cut: float) -> None:
    """A1"""
    data = packed(folder, program.home / "a.tgz", "-z").read_bytes()
    ran = program.run("prepare", "--unpack", "--name", "a", stdin=data[: int(len(data) * cut)])
    assert ran.status == 4
    assert ran.err.count("\n") == 1
    assert program.good("ls").out == b""


def test_names_that_lead_out_are_left_out_and_named(program: Program) -> None:
    """A1"""
    (program.home / "in").mkdir()
    (program.home / "evil").write_bytes(b"evil")
    (program.home / "in" / "good").write_bytes(b"good")
    archive = program.home / "a.tar"
    names = ["../evil", "good"]
    subprocess.run(["tar", "-cPf", archive, *names], cwd=program.home / "in", check=True)
    ran = program.run("prepare", "--unpack", archive, "--name", "a")
    assert ran.status == 3
    assert "left out ../evil: its name leads out of the archive" in ran.err
    assert [path.name for path in pulled(program, "a").iterdir()] == ["good"]


def test_unpack_takes_no_folder(program: Program) -> None:
    for extra in ((program.home,), ("--one-file-system", "a.tar")):
        ran = program.run("prepare", "--unpack", *extra)
        assert ran.status == 2
        assert "--unpack takes archives" in ran.err


@pytest.mark.parametrize("ending", ["tar", "tgz", "zip", "msgpack"])
def test_an_archive_that_was_unpacked_and_made_again_is_the_same(
    program: Program, folder: Path, ending: str
) -> None:
    """A3: what archives of ours do not hold are owners, parts of a second, devices and pipes."""
    program.good("prepare", folder, "--name", "folder")
    program.good("archive", "create", f"x.{ending}", "folder")
    archive = program.good("cat", "-f", f"x.{ending}").out
    first = program.good("prepare", "--unpack", "--name", "back", stdin=archive).out
    program.good("archive", "create", f"y.{ending}", "back")
    again = program.good("cat", "-f", f"y.{ending}").out
    assert again == archive
    assert program.good("prepare", "--unpack", stdin=again).out == first
    assert program.good("cat", "-f", "back:large").out == (folder / "large").read_bytes()
