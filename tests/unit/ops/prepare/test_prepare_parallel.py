"""Prepare with real child processes: the same result, every fault reported, no child left."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casync.cutting import batch_writer as batches
from casync.cutting.children import Cutters
from casync.errors import CasyncError, NoSpaceError, SourceChangedError
from casync.fs.source.base import Hole, Source
from casync.fs.source.file import FileSource, open_source
from casync.fs.source.stream import StreamSource
from casync.limits import KIB
from casync.names.name import Name
from casync.objects.chunker import ChunkerParams
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.base import Batch, Committed
from casync.store.lmdb.store import LmdbStore
from casync.store.memory import MemoryStore
from tests.support.children import children_of
from tests.support.cutters_here import small_spans
from tests.support.meddling import Meddled, Replaced, Shrunk, assert_nothing_published
from tests.support.preparing import PARAMS, Counter, chunks, content_of, hash_of, noise

LENGTH = 1_500_000
OPTIONS = PrepareOptions(params=PARAMS, name=Name("disk"), workers=2)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Little data, many spans and commits."""
    monkeypatch.setattr(batches, "COMMIT_BYTES", 256 * KIB)
    with small_spans(64 * KIB, Cutters):
        yield
    assert children_of(os.getpid()) == []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(noise(LENGTH))
    return path


class Dripping(StreamSource):
    def blocks(self, size: int = 0) -> Iterator[bytes | Hole]:
        return super().blocks(50_000)


MIXED = noise(400_000) + bytes(600_000) + noise(500_000, 1) + noise(400_000) + bytes(300_000)


@pytest.mark.parametrize("arrive", ["file", "standard input", "stream"])
def test_the_hash_is_the_same_however_bytes_arrive(tmp_path: Path, arrive: str) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        for start in range(0, len(MIXED), 4096):
            if any(block := MIXED[start : start + 4096]):
                file.seek(start)
                file.write(block)
        file.truncate(len(MIXED))
    progress = Counter()
    with (
        path.open("rb") as opened,
        LmdbStore.open(tmp_path / "store", create=True) as store,
    ):
        source: Source = Dripping(opened)
        if arrive != "stream":
            source = open_source(path if arrive == "file" else opened)
        done = prepare(source, store, OPTIONS, progress)
        assert done.manifest == hash_of(MIXED)
        assert content_of(store, done.manifest) == MIXED
    cut = chunks(MIXED)
    assert (done.chunks, done.new) == (len(cut), len(set(cut)))
    assert progress.done == len(MIXED)


def test_stored_chunks_are_not_packed_again(path: Path) -> None:
    store = MemoryStore()
    first = prepare(FileSource(path), store, OPTIONS)
    again = prepare(FileSource(path), store, PrepareOptions(params=PARAMS, workers=3, reread=True))
    assert (again.manifest, again.new, again.stored) == (first.manifest, 0, 0)


# -- Without children ------------------------------------------------------------------------------


class NoCutters:
    def __init__(self, *_: object) -> None:
        raise AssertionError("children were started")


@pytest.mark.parametrize(
    ("length", "options"),
    [
        pytest.param(60_000, OPTIONS, id="small"),
        pytest.param(LENGTH, PrepareOptions(params=PARAMS, workers=1), id="one worker"),
        pytest.param(
            LENGTH,
            PrepareOptions(params=ChunkerParams.from_average(256 * KIB), workers=2),
            id="large chunks",
        ),
    ],
)
def test_small_or_serial_prepares_start_no_children(
    path: Path, length: int, options: PrepareOptions
) -> None:
    path.write_bytes(noise(length))
    with small_spans(64 * KIB, NoCutters):  # type: ignore[arg-type]
        for source in (FileSource(path), Dripping(io.BytesIO(noise(length)))):
            done = prepare(source, MemoryStore(), options)
            assert done.manifest == hash_of(noise(length), options.params)


def test_holes_are_not_worth_children(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)
        file.write(noise(10_000))
    with small_spans(64 * KIB, NoCutters):  # type: ignore[arg-type]
        assert prepare(FileSource(path), MemoryStore(), OPTIONS).length == 1 << 40


def refuse_memory(*_: object) -> int:
    raise OSError(errno.ENOSYS, "Function not implemented")


def refuse_processes(*_: object, **__: Any) -> None:
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


@pytest.mark.parametrize(
    ("owner", "name", "refuse"),
    [
        pytest.param(os, "memfd_create", refuse_memory, id="no memory files"),
        pytest.param(subprocess, "Popen", refuse_processes, id="no processes"),
    ],
)
def test_without_children_this_process_cuts(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, refuse: Any
) -> None:
    monkeypatch.setattr(owner, name, refuse)
    for source in (FileSource(path), Dripping(io.BytesIO(noise(LENGTH)))):
        store = MemoryStore()
        done = prepare(source, store, OPTIONS)
        assert content_of(store, done.manifest) == noise(LENGTH)


# -- Faults --------------------------------------------------------------------------------------


class ShrunkFar(Shrunk):
    lost = 400_000


MEDDLERS = [Meddled, ShrunkFar, Replaced]


@pytest.mark.parametrize("kind", MEDDLERS)
def test_a_file_that_changes_once_is_read_again(path: Path, kind: type[Meddled]) -> None:
    store, progress = MemoryStore(), Counter()
    with kind(path, 1) as source:
        done = prepare(source, store, OPTIONS, progress)
    assert done.manifest == hash_of(path.read_bytes())
    assert content_of(store, done.manifest) == path.read_bytes()
    assert [row.id for row in store.manifests()] == [done.manifest]
    assert len(progress.notes) == 1
    assert progress.done == done.length


@pytest.mark.parametrize("kind", MEDDLERS)
def test_a_file_that_changes_twice_is_an_error(path: Path, kind: type[Meddled]) -> None:
    store = MemoryStore()
    with kind(path, 2) as source, pytest.raises(SourceChangedError, match="image"):
        prepare(source, store, OPTIONS)
    assert_nothing_published(store)


def test_a_child_that_dies_is_an_error(path: Path) -> None:
    class Killed(Meddled):
        def meddle(self) -> None:
            os.kill(children_of(os.getpid())[-1], signal.SIGKILL)

    store = MemoryStore()
    with Killed(path, 1) as source, pytest.raises(CasyncError, match="killed by SIGKILL"):
        prepare(source, store, OPTIONS)
    assert_nothing_published(store)


class Failing(MemoryStore):
    def __init__(self, commits: int) -> None:
        super().__init__()
        self.commits = commits

    def commit(self, batch: Batch) -> Committed:
        self.commits -= 1
        if self.commits == 0:
            raise NoSpaceError("no space on /store")
        return super().commit(batch)


@pytest.mark.parametrize("commits", [1, 3, 5])
def test_a_commit_that_fails_while_children_work(path: Path, commits: int) -> None:
    store = Failing(commits)
    with pytest.raises(NoSpaceError):
        prepare(FileSource(path), store, OPTIONS)
    assert_nothing_published(store)
    assert prepare(FileSource(path), store, OPTIONS).manifest == hash_of(noise(LENGTH))


@pytest.mark.parametrize("steps", [0, 1, 5, 15])
def test_a_stop_leaves_nothing_half_done(path: Path, steps: int) -> None:
    class Stopped(Counter):
        left = steps

        def advance(self, count: int) -> None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt

    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        prepare(FileSource(path), store, OPTIONS, Stopped())
    assert_nothing_published(store)
    assert prepare(FileSource(path), store, OPTIONS).manifest == hash_of(noise(LENGTH))
