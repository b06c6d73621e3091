"""Readers of training jobs, over a store on disk."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import fsspec
import pytest

import casync
from casync.errors import LockedError, NotFoundError, UsageError
from casync.names.name import Name
from casync.names.name_update import NameUpdate
from casync.store.base import Batch, ManifestSource
from casync.store.lmdb.store import LmdbStore
from casync.training.process_source import ProcessSource
from tests.support.serving import serving

DATA = os.urandom(300_000)


def shard() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in (("b.jpg", DATA), ("a.txt", b"seven"), ("none", b"")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> str:
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "data.csv").write_text("a,b\n1,2\n3,4\n")
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        tree = casync.prepare_tree(root, store).manifest
        file = casync.prepare(io.BytesIO(shard()), store).manifest
        names = [NameUpdate(Name("set/v1"), tree), NameUpdate(Name("shards/0.tar"), file)]
        store.commit(Batch(names=names))
    return str(tmp_path / "store")


def read(source: ManifestSource) -> list[tuple[str, bytes]]:
    return list(casync.members("shards/0.tar", source))


def test_members_come_in_the_order_of_the_archive(store: str) -> None:
    assert read(ProcessSource(store)) == [("b.jpg", DATA), ("a.txt", b"seven"), ("none", b"")]
    with pytest.raises(UsageError):
        list(casync.members("set/v1:deep/data.csv", ProcessSource(store)))


POOL = """
import multiprocessing, sys
import casync
from casync.training.process_source import ProcessSource

def read(source):
    return list(casync.members("shards/0.tar", source))

if __name__ == "__main__":
    source = ProcessSource(sys.argv[1])
    expected = read(source)
    with multiprocessing.get_context(sys.argv[2]).Pool(1) as pool:
        assert pool.map(read, [source]) == [expected]
    print(len(expected))
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_read_with_a_source_that_is_in_use(store: str, method: str, tmp_path: Path) -> None:
    """In a process of its own: pools leave helpers behind until their process ends."""
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    command = [sys.executable, str(script), store, method]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == b"3\n"


def child_says(source: ManifestSource) -> str:
    """What a forked child says of reading."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            said = str(len(read(source)))
        except LockedError as error:
            said = error.next_step or ""
        os.write(writing, said.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        return pipe.read().decode()


def test_a_source_in_use_survives_a_fork_on_both_sides(store: str) -> None:
    source = ProcessSource(store)
    going = casync.members("shards/0.tar", source)
    assert next(going)[0] == "b.jpg"
    assert child_says(source) == "3"
    assert [name for name, _ in going] == ["a.txt", "none"]


def test_a_fork_below_a_store_of_the_caller_is_refused(store: str) -> None:
    with LmdbStore.open(store, read_only=True) as opened:
        assert "spawn" in child_says(ProcessSource(store))
        assert "spawn" in child_says(opened)
        assert len(read(opened)) == 3


def test_a_child_that_closes_a_store_of_its_parent_leaves_it_open(store: str) -> None:
    with LmdbStore.open(store) as opened:
        going = casync.members("shards/0.tar", opened)
        assert next(going)[0] == "b.jpg"
        pid = os.fork()
        if not pid:
            opened.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert [name for name, _ in going] == ["a.txt", "none"]
        casync.prepare(io.BytesIO(b"more"), opened)


def test_a_file_system_lists_and_reads_names_trees_and_members(store: str) -> None:
    files = fsspec.filesystem("casync", store=store)
    assert files.ls("", detail=False) == ["set", "shards"]
    assert files.find("casync://set/v1") == ["set/v1/-/deep/data.csv"]
    assert files.glob("casync://set/v1/-/*/*.csv") == ["set/v1/-/deep/data.csv"]
    assert files.isdir("set")
    assert files.isdir("set/v1/-")
    assert files.isfile("shards/0.tar")
    assert files.cat_file("casync://shards/0.tar/-/b.jpg", 5, 50) == DATA[5:50]
    assert files.cat_ranges(["shards/0.tar/-/a.txt"] * 2, [0, -2], [2, None]) == [b"se", b"en"]
    with files.open("casync://shards/0.tar@1/-/b.jpg") as file:
        file.seek(-7, io.SEEK_END)
        assert file.read() == DATA[-7:]
        assert pickle.loads(pickle.dumps(files)) == files
    with pytest.raises(FileNotFoundError):
        files.info("set/v1/-/no")
    with pytest.raises(FileNotFoundError):
        files.ls("nothing")


def test_a_file_system_lists_folders_of_archives(store: str) -> None:
    """A2"""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in ("top", "train/b/2", "train-x", "train/b/1", "train/a", "train/b/1", "train.y"):
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
        for name, kind, target in (
            ("empty", tarfile.DIRTYPE, ""),
            ("train/link", tarfile.LNKTYPE, "top"),
            ("symlink", tarfile.SYMTYPE, "top"),
            ("train/up", tarfile.SYMTYPE, "b/../../symlink"),
            ("out", tarfile.SYMTYPE, "../top"),
            ("loop", tarfile.SYMTYPE, "loop"),
            ("to-folder", tarfile.SYMTYPE, "empty"),
            ("pipe", tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    with LmdbStore.open(store) as opened:
        file = casync.prepare(io.BytesIO(made.getvalue()), opened).manifest
        opened.commit(Batch(names=[NameUpdate(Name("deep.tar"), file)]))
    files = fsspec.filesystem("casync", store=store)
    here = "deep.tar/-"
    assert files.isfile("deep.tar")
    assert {(row["name"], row["type"], row["size"]) for row in files.ls(here)} == {
        (f"{here}/empty", "directory", 0),
        (f"{here}/symlink", "file", 1),
        (f"{here}/out", "other", 0),
        (f"{here}/loop", "other", 0),
        (f"{here}/to-folder", "other", 0),
        (f"{here}/pipe", "other", 0),
        (f"{here}/top", "file", 1),
        (f"{here}/train", "directory", 0),
        (f"{here}/train-x", "file", 1),
        (f"{here}/train.y", "file", 1),
    }
    assert files.ls(f"{here}/train", detail=False) == [
        f"{here}/train/a",
        f"{here}/train/b",
        f"{here}/train/link",
        f"{here}/train/up",
    ]
    assert files.ls(f"{here}/train/b", detail=False) == [f"{here}/train/b/1", f"{here}/train/b/2"]
    assert files.ls(f"{here}/train/a", detail=False) == [f"{here}/train/a"]
    assert files.glob(f"{here}/train/**/[12]") == [f"{here}/train/b/1", f"{here}/train/b/2"]
    assert files.isdir(here)
    assert files.isdir(f"{here}/train")
    assert files.info(f"{here}/train/link")["size"] == 1
    assert files.info(f"{here}/train/up")["size"] == 1
    assert files.info(f"{here}/empty")["type"] == "directory"
    assert files.ls(f"{here}/empty") == []
    found = files.find(here)
    assert {name.removeprefix(f"{here}/") for name in found} == {
        "symlink",
        "top",
        "train/a",
        "train/b/1",
        "train/b/2",
        "train/link",
        "train/up",
        "train-x",
        "train.y",
    }
    assert set(files.cat(found).values()) == {b"x"}
    assert files.find(here, detail=True)[f"{here}/symlink"]["size"] == 1
    assert not files.exists(f"{here}/nothing")
    assert not files.isdir("set/v1/-/deep/data.csv")
    with pytest.raises(FileNotFoundError):
        files.ls(f"{here}/nothing")


def test_a_hard_link_to_nothing_does_not_hide_the_rest_of_a_folder(store: str) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.LNKTYPE, "nothing"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("rest"))
    made.seek(0)
    with LmdbStore.open(Path(store)) as opened:
        file = casync.prepare(made, opened).manifest
        opened.commit(Batch(names=[NameUpdate(Name("shards/links.tar"), file)]))
    rows = fsspec.filesystem("casync", store=store).ls("shards/links.tar/-")
    kinds = [(row["name"].rpartition("/")[2], row["type"]) for row in rows]
    assert kinds == [("link", "other"), ("rest", "file")]


def test_a_batch_has_files_and_members_in_the_order_asked(store: str) -> None:
    """A2"""
    asked = ["shards/0.tar:a.txt", "set/v1:deep/data.csv", "shards/0.tar@1:b.jpg", "shards/0.tar"]
    with LmdbStore.open(store) as opened:
        assert list(casync.batch([*asked, asked[0]], opened)) == [
            (asked[0], b"seven"),
            (asked[1], b"a,b\n1,2\n3,4\n"),
            (asked[2], DATA),
            (asked[3], shard()),
            (asked[0], b"seven"),
        ]
        going = casync.batch(asked * 2, opened)
        assert next(going) == (asked[0], b"seven")
        file = casync.prepare(io.BytesIO(b"other"), opened).manifest
        opened.commit(Batch(names=[NameUpdate(Name("shards/0.tar"), file)]))
        assert [len(data) for _, data in going][3] == 5  # names stay what they were
    for ref in ("set/v1", "set/v1:deep", "set/v1:deep/data.csv/x"):
        with pytest.raises((UsageError, NotFoundError)):
            list(casync.batch([ref], ProcessSource(store)))
    with pytest.raises(NotFoundError):
        list(casync.batch(["shards/0.tar@1:none/x"], ProcessSource(store)))


def test_a_batch_is_read_from_a_server(store: str) -> None:
    """A2"""
    asked = ["shards/0.tar:b.jpg", "shards/0.tar:a.txt", "set/v1:deep/data.csv"]
    with serving(Path(store)) as server:
        found = dict(casync.batch(asked, ProcessSource(server=server.url)))
    assert found[asked[0]] == DATA
    assert found[asked[1]] == b"seven"
