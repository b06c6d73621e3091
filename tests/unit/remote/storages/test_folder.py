"""A folder that stands for a bucket: what is whole, what is inside, what killed writers leave."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from casync.errors import WriteError
from casync.remote.storages.folder import FolderStorage
from tests.support.forked import run_python, without_rights

WRITING = ".writing"

KILLED = """
import os, pathlib, signal, stat, sys
from casync.remote.storages.folder import FolderStorage
def die(fd):
    if stat.S_ISREG(os.fstat(fd).st_mode):
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = die
FolderStorage(pathlib.Path(sys.argv[1])).put("seg/aa/x", b"unfinished")
"""


def unfinished(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder / WRITING) if name != "lock"]


def kill_a_writer(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    kill_a_writer(tmp_path)
    assert len(unfinished(tmp_path)) == 1
    storage = FolderStorage(tmp_path)
    assert list(storage.list()) == []
    storage.put("a", b"1")
    assert unfinished(tmp_path) == []
    assert [one.key for one in storage.list()] == ["a"]


def test_what_others_are_writing_is_left_to_them(tmp_path: Path) -> None:
    kill_a_writer(tmp_path)
    (name,) = unfinished(tmp_path)
    with (tmp_path / WRITING / name).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        FolderStorage(tmp_path).put("a", b"1")
        assert unfinished(tmp_path) == [name]
    FolderStorage(tmp_path).put("a", b"1")
    assert unfinished(tmp_path) == []


def test_writers_leave_nothing_unfinished(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    storage.put("a", b"1")
    assert not storage.create("a", b"2")
    found = storage.get("a")
    assert found is not None
    assert storage.swap("a", b"3", found.tag) is not None
    assert storage.swap("a", b"4", found.tag) is None
    assert unfinished(tmp_path) == []


def test_a_folder_is_made_by_the_first_write_in_one_that_exists(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "new")
    assert storage.get("a") is None
    assert list(storage.list()) == []
    storage.delete(["a"])
    assert not (tmp_path / "new").exists()
    storage.put("n/a", b"1")
    assert (tmp_path / "new/n/a").read_bytes() == b"1"
    with pytest.raises(WriteError, match=rf"no folder {tmp_path / 'mistyped'}$") as caught:
        FolderStorage(tmp_path / "mistyped/new").put("a", b"1")
    assert caught.value.next_step == "Create it first."


def test_no_link_leads_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    storage = FolderStorage(root)
    assert storage.get("link/secret") is None
    assert storage.get("file") is None
    assert storage.get_ranges("file", [(0, 1)]) is None
    assert list(storage.list()) == []
    with pytest.raises(WriteError):
        storage.put("link/new", b"1")
    storage.delete(["link/secret"])
    assert not storage.create("file", b"1")
    storage.put("file", b"2")
    assert not (root / "file").is_symlink()
    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    (root / WRITING).rename(root / "aside")
    (root / WRITING).symlink_to(outside)
    with pytest.raises(WriteError):
        storage.put("file", b"3")
    assert os.listdir(outside) == ["secret"]


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    FolderStorage(tmp_path / "link").put("a", b"1")
    assert (tmp_path / "real/a").read_bytes() == b"1"


def test_files_that_are_no_keys_are_not_listed(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    storage.put("a", b"1")
    for name in (".hidden", "with space", "é"):
        (tmp_path / name).write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    assert [one.key for one in storage.list()] == ["a"]
    assert storage.get("pipe") is None


def test_a_folder_in_the_way_of_an_object_is_an_error(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    storage.put("a/b", b"1")
    assert storage.get("a") is None
    with pytest.raises(WriteError):
        storage.put("a", b"1")
    with pytest.raises(WriteError):
        storage.put("a/b/c", b"1")


def test_a_removed_folder_of_keys_is_made_again(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    storage.put("seg/aa/x", b"1")
    storage.delete(["seg/aa/x"])
    (tmp_path / "seg/aa").rmdir()
    storage.put("seg/aa/y", b"2")
    assert (tmp_path / "seg/aa/y").read_bytes() == b"2"


def test_every_name_is_durable_when_a_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def record(fd: int) -> None:
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), tmp_path))
        sync(fd)

    monkeypatch.setattr(os, "fsync", record)
    storage = FolderStorage(tmp_path / "root")
    storage.put("seg/aa/x", b"1")
    assert {".", "root", "root/seg", "root/seg/aa"} < set(synced)
    assert any(name.startswith(f"root/{WRITING}/new-") for name in synced)
    synced.clear()
    storage.put("seg/aa/y", b"1")
    assert synced[1:] == ["root/seg/aa"]
    synced.clear()
    FolderStorage(tmp_path / "root").put("seg/aa/z", b"1")  # others may not have got that far
    assert {".", "root", "root/seg", "root/seg/aa"} < set(synced)


def test_a_full_disk_and_missing_rights_are_told_apart(tmp_path: Path) -> None:
    code = """
import io, resource, signal
from casync.remote.storages.folder import FolderStorage
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
storage = FolderStorage(path)
told(lambda: storage.put("a", bytes(2000)))
told(lambda: storage.put("a", io.BytesIO(bytes(1500))))
print(storage.get("a"))
print(os.listdir(path / ".writing"))
path.chmod(0o500)
told(lambda: storage.put("b/c", b""))
path.chmod(0o000)
told(lambda: storage.get("b"))
told(lambda: list(storage.list()))
path.chmod(0o700)
"""
    lines = run_python(code, tmp_path, prefix=without_rights()).splitlines()
    assert [line.partition(" ")[0] for line in lines] == [
        "NoSpaceError",
        "NoSpaceError",
        "None",
        "[]",
        "DeniedError",
        "DeniedError",
        "DeniedError",
    ]


COUNTER = """
import pathlib, sys
from casync.remote.storages.folder import FolderStorage
storage = FolderStorage(pathlib.Path(sys.argv[1]))
for _ in range(40):
    while True:
        data, tag = storage.get("head")
        if storage.swap("head", b"%d" % (int(data) + 1), tag) is not None:
            break
    print("one", flush=True)
"""


def test_no_update_of_several_processes_is_lost_though_one_is_killed(tmp_path: Path) -> None:
    FolderStorage(tmp_path).put("head", b"0")
    command = [sys.executable, "-c", COUNTER, str(tmp_path)]
    # Without buffers, in which lines that were read with others would be lost to `communicate`.
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) for _ in range(3)]
    victim = processes[0]
    assert victim.stdout is not None
    counted = [victim.stdout.readline() for _ in range(5)]
    victim.kill()
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    acknowledged = len(counted) + sum(output.count(b"one\n") for output in outputs)
    found = FolderStorage(tmp_path).get("head")
    assert found is not None
    assert acknowledged - int(found.data) in (0, -1)  # the last one of the victim may be untold
