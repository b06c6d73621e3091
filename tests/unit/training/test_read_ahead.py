"""Files of a store that a child process reads ahead."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import casync
from casync.errors import DamagedObjectError
from casync.ids import ChunkId, Kind
from casync.limits import MIB
from casync.names.name import Name
from casync.names.name_update import NameUpdate
from casync.store.base import Batch
from casync.store.lmdb.store import LmdbStore
from casync.training import read_ahead
from casync.training.filesystem import CasyncFileSystem
from casync.training.read_ahead import READ_BYTES, open_ahead, start_ahead
from casync.training.read_child import BLOCK_BYTES, SLOTS
from tests.support.children import ended_unread

DATA = os.urandom(9 * MIB) + bytes(2 * MIB) + os.urandom(77_777)


@pytest.fixture(autouse=True)
def several_processors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    yield
    read_ahead._close_all()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[CasyncFileSystem]:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        for name, data in (("one", DATA), ("two", DATA[::-1])):
            file = casync.prepare(io.BytesIO(data), store).manifest
            store.commit(Batch(names=[NameUpdate(Name(name), file)]))
    found = CasyncFileSystem(store=str(tmp_path / "store"))
    yield found
    found.source.close()


def opened(files: CasyncFileSystem, name: str = "one") -> io.BufferedReader:
    """A file that is read in order, once its child has started."""
    file = open_ahead(files.content(name), files.source)
    file.read(1)
    while not all(child.is_ready for child in read_ahead._children):
        os.sched_yield()
    file.seek(0)
    return file


def children() -> list[int]:
    """The processes that read ahead for this one."""
    return [child._process.pid for child in read_ahead._children]


def test_files_are_read_ahead_one_after_the_other_by_one_process(files: CasyncFileSystem) -> None:
    with opened(files) as one:
        assert b"".join(iter(lambda: one.read(10_240), b"")) == DATA
    first = children()
    assert len(first) == 1
    with opened(files, "two") as two:
        assert two.read() == DATA[::-1]
    assert children() == first


def test_reads_in_any_order_have_the_right_bytes(files: CasyncFileSystem) -> None:
    with opened(files) as file:
        for start in (0, 7 * MIB, 6 * MIB + 5, 9 * MIB - 3, 1, len(DATA) - 9, 2 * MIB):
            file.seek(start)
            for at in range(start, start + 5 * MIB, MIB):
                assert file.read(MIB) == DATA[at : at + MIB]


def test_files_that_are_read_in_turns_have_a_process_each(files: CasyncFileSystem) -> None:
    with opened(files) as one, opened(files, "two") as two:
        assert len(children()) == 2
        for at in range(0, len(DATA), MIB):
            assert one.read(MIB) == DATA[at : at + MIB]
            assert two.read(MIB) == DATA[::-1][at : at + MIB]
    assert len(children()) == 1


def test_a_killed_process_costs_nothing_but_time(files: CasyncFileSystem) -> None:
    with opened(files) as file:
        got = file.read(READ_BYTES + 5)
        (pid,) = children()
        os.kill(pid, signal.SIGKILL)
        assert got + file.read() == DATA
    with opened(files) as file:
        assert file.read() == DATA


def test_a_chunk_that_is_missing_or_damaged_is_told_as_without_reading_ahead(
    files: CasyncFileSystem, tmp_path: Path
) -> None:
    data = (tmp_path / "store" / "data.mdb").read_bytes()
    at = data.index(DATA[8 * MIB : 8 * MIB + 64])
    with open(tmp_path / "store" / "data.mdb", "r+b") as store:
        store.seek(at)
        store.write(b"damage")
    with opened(files) as file, pytest.raises(DamagedObjectError, match="chunk"):
        sum(map(len, iter(lambda: file.read(10_240), b"")))


def test_a_fork_leaves_the_process_to_the_parent(files: CasyncFileSystem) -> None:
    with opened(files) as file:
        got = file.read(READ_BYTES + 2 * MIB + 5)
        ours = children()
        pid = os.fork()
        if not pid:
            rest = file.read()
            os._exit(got + rest != DATA or children() == ours)
        assert os.waitpid(pid, 0)[1] == 0
        assert got + file.read() == DATA
        assert children() == ours


def test_the_process_ends_with_the_one_that_it_reads_for(
    files: CasyncFileSystem, tmp_path: Path
) -> None:
    script = """
import os, sys
os.sched_getaffinity = lambda _: {0, 1}
from casync.training import read_ahead
from casync.training.filesystem import CasyncFileSystem
files = CasyncFileSystem(store=sys.argv[1])
file = read_ahead.open_ahead(files.content("one"), files.source)
file.read(read_ahead.READ_BYTES + 5)
(child,) = read_ahead._children
print(child._process.pid, flush=True)
os._exit(0)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, check=True)
    pid = int(done.stdout)  # its standard error is that of a process that has ended
    assert not done.stderr
    command_line = Path(f"/proc/{pid}/cmdline")
    with suppress(FileNotFoundError):
        while command_line.read_bytes():  # a process that has ended has none
            os.sched_yield()


def test_a_process_whose_parent_is_gone_ends_silently(
    files: CasyncFileSystem, tmp_path: Path
) -> None:
    fd = os.memfd_create("shared")
    os.ftruncate(fd, SLOTS * BLOCK_BYTES)
    arguments = [tmp_path / "store", fd]
    assert ended_unread("casync.training.read_child", arguments, b"", [fd]) == (0, b"")
    os.close(fd)


def test_all_chunks_of_a_store_are_proved_alike(files: CasyncFileSystem, tmp_path: Path) -> None:
    """`plain_chunks` gives what `get` proves, whether it is packed or not."""
    with LmdbStore.open(tmp_path / "store", read_only=True) as store:
        ids = [*store.objects(Kind.CHUNK), ChunkId(bytes(32))]
        plains = list(store.plain_chunks(ids))
        assert plains[-1] is None
        assert sum(len(plain or b"") for plain in plains) > 2 * len(DATA) - 5 * MIB


def test_a_process_that_was_started_before_reads_the_first_file(files: CasyncFileSystem) -> None:
    start_ahead(files.source)
    (child,) = read_ahead._children
    while not child.is_ready:
        os.sched_yield()
    with open_ahead(files.content("one"), files.source) as file:
        assert file.read(MIB) == DATA[:MIB]
        assert child.is_asked
    start_ahead(files.source)
    assert read_ahead._children == {child}


def test_nothing_is_started_for_a_server() -> None:
    start_ahead(CasyncFileSystem(server="http://127.0.0.1:9").source)
    assert not children()
