"""Prepare when the source changes, the store fails, or the user stops it."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from casync.cutting import batch_writer as batches
from casync.cutting import serial
from casync.errors import NoSpaceError, SourceChangedError
from casync.fs.source.file import FileSource, Hole, StreamSource
from casync.ids import Kind, ObjectId
from casync.limits import KIB
from casync.names.name import Name
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.base import Batch, Committed
from casync.store.memory import MemoryStore
from tests.support.meddling import Meddled, Replaced, Shrunk, assert_nothing_published
from tests.support.preparing import PARAMS, Counter, content_of, hash_of, noise, stream

LENGTH = 300_000
SMALL = PrepareOptions(params=PARAMS, name=Name("disk"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(noise(LENGTH))
    return path


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small jobs and commits, so that a fault finds some of each under way."""
    monkeypatch.setattr(serial, "_HELD_BYTES", 32 * KIB)
    monkeypatch.setattr(batches, "COMMIT_BYTES", 64 * KIB)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


# -- Sources that change -------------------------------------------------------------------------


MEDDLERS = [Meddled, Replaced, Shrunk]


@pytest.mark.parametrize("kind", MEDDLERS)
def test_a_file_that_changes_once_is_read_again(
    store: MemoryStore, path: Path, kind: type[Meddled]
) -> None:
    progress = Counter()
    with kind(path, 1) as source:
        done = prepare(source, store, SMALL, progress)
    assert done.manifest == hash_of(path.read_bytes())
    assert content_of(store, done.manifest) == path.read_bytes()
    assert [row.id for row in store.manifests()] == [done.manifest]
    assert len(progress.notes) == 1
    assert str(path) in progress.notes[0]
    assert progress.done == done.length


@pytest.mark.parametrize("kind", MEDDLERS)
def test_a_file_that_changes_twice_is_an_error(
    store: MemoryStore, path: Path, kind: type[Meddled]
) -> None:
    with kind(path, 2) as source, pytest.raises(SourceChangedError, match="image"):
        prepare(source, store, SMALL)
    assert_nothing_published(store)


def test_a_file_that_vanishes_is_named(store: MemoryStore, path: Path) -> None:
    class Vanishing(Meddled):
        def meddle(self) -> None:
            self.path.unlink()

    with Vanishing(path, 1) as source, pytest.raises(SourceChangedError, match="image vanished"):
        prepare(source, store, SMALL)
    assert_nothing_published(store)


def test_a_stream_is_not_read_twice(store: MemoryStore) -> None:
    class Torn(StreamSource):
        def __init__(self) -> None:
            super().__init__(stream(b"")._stream)
            self.readings = 0

        def blocks(self, size: int = 0) -> Iterator[bytes | Hole]:
            self.readings += 1
            yield noise(100_000)
            raise SourceChangedError("the stream was torn")

    source = Torn()
    with pytest.raises(SourceChangedError, match="torn"):
        prepare(source, store, SMALL)
    assert source.readings == 1
    assert_nothing_published(store)


def test_a_file_that_is_written_all_the_time(store: MemoryStore, tmp_path: Path) -> None:
    path = tmp_path / "counters"
    path.write_bytes(bytes(LENGTH))
    stop = threading.Event()
    pause = random.Random(1)

    def write() -> None:
        # The first counter goes before the last one, so at no moment is the last one ahead.
        fd = os.open(path, os.O_WRONLY)
        number = 0
        while not stop.is_set():
            number += 1
            os.pwrite(fd, number.to_bytes(8, "big"), 0)
            os.pwrite(fd, number.to_bytes(8, "big"), LENGTH - 8)
            if pause.random() < 0.3:
                stop.wait(pause.random() / 10)
        os.close(fd)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(40):
            try:
                with FileSource(path) as source:
                    content = content_of(store, prepare(source, store, SMALL).manifest)
            except SourceChangedError:
                continue
            first, last = int.from_bytes(content[:8], "big"), int.from_bytes(content[-8:], "big")
            assert first - last in {0, 1}
    finally:
        stop.set()
        writer.join()


# -- Faults and stops ----------------------------------------------------------------------------


class Failing(MemoryStore):
    """Fails at its n-th commit or look-up."""

    def __init__(self, *, commits: int = -1, look_ups: int = -1) -> None:
        super().__init__()
        self.commits = commits
        self.look_ups = look_ups

    def commit(self, batch: Batch) -> Committed:
        self.commits -= 1
        if self.commits == 0:
            raise NoSpaceError("no space on /store")
        return super().commit(batch)

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        self.look_ups -= 1
        if self.look_ups == 0:
            raise NoSpaceError("no space on /store")
        return super().known(kind, ids)


@pytest.mark.parametrize("commits", [1, 2, 3, 4])
def test_a_commit_that_fails_is_reported(commits: int) -> None:
    store = Failing(commits=commits)
    with pytest.raises(NoSpaceError):
        prepare(stream(noise(LENGTH)), store, SMALL)
    assert_nothing_published(store)
    assert prepare(stream(noise(LENGTH)), store, SMALL).manifest == hash_of(noise(LENGTH))


@pytest.mark.parametrize("look_ups", [1, 2, 3])
def test_a_look_up_that_fails_is_reported(look_ups: int) -> None:
    store = Failing(look_ups=look_ups)
    with pytest.raises(NoSpaceError):
        prepare(stream(noise(LENGTH)), store, SMALL)
    assert_nothing_published(store)


class Stopping(StreamSource):
    """A stream that is interrupted by Ctrl-C after so many blocks."""

    def __init__(self, blocks: int) -> None:
        super().__init__(stream(noise(LENGTH))._stream)
        self._left = blocks

    def blocks(self, size: int = 0) -> Iterator[bytes | Hole]:
        for block in super().blocks(16 * KIB):
            if not self._left:
                raise KeyboardInterrupt
            self._left -= 1
            yield block


@pytest.mark.parametrize("blocks", range(0, 19, 3))
def test_a_stop_leaves_nothing_half_done(store: MemoryStore, blocks: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(Stopping(blocks), store, SMALL)
    assert_nothing_published(store)
    done = prepare(stream(noise(LENGTH)), store, SMALL)
    assert content_of(store, done.manifest) == noise(LENGTH)
    assert done.reused >= 0


def test_a_stop_while_a_commit_runs_waits_for_it() -> None:
    began = threading.Event()

    class Slow(MemoryStore):
        def commit(self, batch: Batch) -> Committed:
            began.set()
            return super().commit(batch)

    class Stopped(Counter):
        def advance(self, count: int) -> None:
            if began.is_set():
                raise KeyboardInterrupt

    store = Slow()
    with pytest.raises(KeyboardInterrupt):
        prepare(stream(noise(10 * LENGTH)), store, SMALL, Stopped())
    assert began.is_set()
    assert_nothing_published(store)
