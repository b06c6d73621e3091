"""Commits in the background: bounded, in order, each object once, and errors where they belong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from casync.codec import Packer, Verified
from casync.errors import NoObjectError, NoSpaceError
from casync.ids import Kind, ManifestId
from casync.ops import batches
from casync.ops.batches import BatchWriter
from casync.store.base import Batch, Committed, ManifestState
from casync.store.memory import MemoryStore
from tests.unit.ops.preparing import noise


def chunk(seed: int) -> Verified:
    return Packer().pack_new(Kind.CHUNK, noise(1000, seed))


class Watched(MemoryStore):
    """Keeps the sizes of its commits; may be held, and may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.free = threading.Event()
        self.free.set()
        self.fails = False

    def commit(self, batch: Batch) -> Committed:
        self.free.wait()
        if self.fails:
            raise NoSpaceError("no space on /store")
        self.sizes.append(len(batch.objects))
        return super().commit(batch)


@pytest.fixture
def store() -> Watched:
    return Watched()


@pytest.fixture
def writer(store: Watched, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchWriter]:
    monkeypatch.setattr(batches, "COMMIT_BYTES", 5 * (1000 + 512))
    writer = BatchWriter(store)
    yield writer
    store.free.set()
    writer.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("commit")]


def test_commits_have_a_size(writer: BatchWriter, store: Watched) -> None:
    assert writer.put([chunk(number) for number in range(12)], 0) == 12
    writer.finish(Batch())
    assert store.sizes == [5, 5, 2]
    assert (writer.objects, writer.stored) == (12, 12_000)
    assert writer.written == 3


def test_an_object_is_taken_once_until_a_look_up_can_see_it(
    writer: BatchWriter, store: Watched
) -> None:
    store.free.clear()
    chunks = [chunk(number) for number in range(7)]
    assert writer.put(chunks, 0) == 7  # five in a commit that hangs, two gathered
    assert writer.put(chunks + chunks, 0) == 0
    store.free.set()
    writer.finish(Batch())
    assert writer.written == 2
    assert store.sizes == [5, 2]
    # A look-up from before the second commit may still miss the last two.
    assert writer.put(chunks[5:], 1) == 0
    assert writer.objects == 7


def test_the_last_batch_goes_with_what_is_left(writer: BatchWriter, store: Watched) -> None:
    manifest = Packer().pack_new(Kind.MANIFEST, b"a manifest")
    row = (ManifestId(manifest.id), ManifestState.FULL, 5)
    writer.put([chunk(1)], 0)
    committed = writer.finish(Batch(objects=[manifest], manifests=[row]))
    assert committed.objects == 2
    assert store.sizes == [2]
    assert store.manifest(row[0]) is not None


def test_what_was_not_finished_is_dropped(writer: BatchWriter, store: Watched) -> None:
    writer.put([chunk(1)], 0)
    writer.close()
    assert store.sizes == []


@pytest.mark.parametrize("count", [5, 15])
def test_a_commit_that_fails_is_told_to_whoever_comes_next(
    writer: BatchWriter, store: Watched, count: int
) -> None:
    def go_on() -> None:
        for number in range(count):
            writer.put([chunk(number)], 0)
        writer.finish(Batch())

    store.fails = True
    with pytest.raises(NoSpaceError):
        go_on()


def test_an_impossible_last_batch_is_told(writer: BatchWriter) -> None:
    with pytest.raises(NoObjectError):
        writer.finish(Batch(manifests=[(ManifestId(bytes(32)), ManifestState.FULL, 5)]))
