"""Background commits: bounded, in order, each object once, and errors raised to the caller."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from casync.cutting import batch_writer as batches
from casync.cutting.batch_writer import BatchWriter
from casync.errors import NoObjectError, NoSpaceError
from casync.ids import Kind, ManifestId, ObjectId
from casync.limits import OBJECT_BYTES
from casync.objects.codec import Packer, Verified
from casync.store.base import Batch, Committed, ManifestState
from casync.store.memory import MemoryStore
from tests.contract.store_contract import recorded
from tests.support.preparing import noise


def chunk(seed: int) -> Verified:
    return Packer().pack_new(Kind.CHUNK, noise(1000, seed))


class Watched(MemoryStore):
    """Records the sizes of commits and look-ups; can be blocked, and can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.asked: list[int] = []
        self.free = threading.Event()
        self.free.set()
        self.fails = False

    def known(self, kind: Kind, ids: Sequence[ObjectId]) -> list[bool]:
        self.asked.append(len(ids))
        return super().known(kind, ids)

    def commit(self, batch: Batch) -> Committed:
        self.free.wait()
        if self.fails:
            raise NoSpaceError("no space on /store")
        self.sizes.append(len(batch.objects) + sum(len(block.ids) for block in batch.records))
        return super().commit(batch)


@pytest.fixture
def store() -> Watched:
    return Watched()


@pytest.fixture
def writer(store: Watched, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchWriter]:
    monkeypatch.setattr(batches, "COMMIT_BYTES", 5 * (1000 + OBJECT_BYTES))
    writer = BatchWriter(store)
    yield writer
    store.free.set()
    writer.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("commit")]


def reserved(writer: BatchWriter, objects: Sequence[Verified]) -> list[Verified]:
    new = writer.reserve(Kind.CHUNK, [packed.id for packed in objects])
    return [packed for packed in objects if packed.id in new]


def test_a_commit_starts_when_its_size_is_reached(writer: BatchWriter, store: Watched) -> None:
    writer.put([chunk(number) for number in range(12)])
    writer.finish(Batch())
    assert store.sizes == [5, 5, 2]
    assert writer.stored == 12_000


def test_a_block_of_records_is_split_where_a_commit_is_full(
    writer: BatchWriter, store: Watched
) -> None:
    chunks = [chunk(number) for number in range(14)]
    writer.put(reserved(writer, chunks[:2]))
    writer.reserve(Kind.CHUNK, [packed.id for packed in chunks[2:]])
    writer.put_records(recorded(chunks[2:]))
    assert reserved(writer, chunks) == []
    writer.finish(Batch())
    assert store.sizes == [5, 5, 4]
    assert writer.new_length == writer.stored == 14_000
    assert list(store.get(Kind.CHUNK, [packed.id for packed in chunks])) == chunks


def test_an_object_is_reserved_once(writer: BatchWriter, store: Watched) -> None:
    store.commit(Batch(objects=[chunk(0)]))
    store.free.clear()
    chunks = [chunk(number) for number in range(8)]
    first = reserved(writer, [*chunks, *chunks])
    assert len(first) == 14
    assert reserved(writer, chunks) == []  # reserved, but not put
    writer.put(chunks[1:])
    assert reserved(writer, chunks) == []  # five in a commit that hangs, two gathered
    store.free.set()
    writer.finish(Batch())
    assert reserved(writer, chunks) == []
    assert store.sizes == [1, 5, 2]


def test_committed_objects_are_looked_up_in_the_store(writer: BatchWriter, store: Watched) -> None:
    """Ids are not remembered for ever: memory must not grow with the content."""
    chunks = [chunk(number) for number in range(5)]
    writer.put(reserved(writer, chunks))
    writer.finish(Batch())
    assert reserved(writer, chunks) == []
    assert store.asked == [5, 5]


def test_the_last_batch_is_committed_with_the_rest(writer: BatchWriter, store: Watched) -> None:
    manifest = Packer().pack_new(Kind.MANIFEST, b"a manifest")
    row = (ManifestId(manifest.id), ManifestState.FULL, 5)
    writer.put([chunk(1)])
    committed = writer.finish(Batch(objects=[manifest], manifests=[row]))
    assert committed.objects == 2
    assert store.sizes == [2]
    assert store.manifest(row[0]) is not None


def test_unfinished_objects_are_dropped(writer: BatchWriter, store: Watched) -> None:
    writer.put([chunk(1)])
    writer.close()
    assert store.sizes == []


@pytest.mark.parametrize("count", [5, 15])
def test_the_next_call_raises_the_error_of_a_failed_commit(
    writer: BatchWriter, store: Watched, count: int
) -> None:
    def go_on() -> None:
        for number in range(count):
            writer.put([chunk(number)])
        writer.finish(Batch())

    store.fails = True
    with pytest.raises(NoSpaceError):
        go_on()


def test_an_impossible_last_batch_raises(writer: BatchWriter) -> None:
    with pytest.raises(NoObjectError):
        writer.finish(Batch(manifests=[(ManifestId(bytes(32)), ManifestState.FULL, 5)]))


class Several(Watched):
    """Takes several commits at once, and notes what comes when."""

    commits_at_once = 3

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.staged = threading.Event()

    def stage(self, batch: Batch) -> None:
        self.events.append("stage")
        self.staged.set()

    def commit(self, batch: Batch) -> Committed:
        committed = super().commit(batch)
        self.events.append("objects" if batch.is_objects else "rows")
        return committed


def test_the_last_objects_are_sent_while_earlier_ones_are_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "COMMIT_BYTES", 5 * (1000 + OBJECT_BYTES))
    store = Several()
    writer = BatchWriter(store)
    manifest = Packer().pack_new(Kind.MANIFEST, b"a manifest")
    row = (ManifestId(manifest.id), ManifestState.FULL, 5)
    store.free.clear()
    writer.put([chunk(number) for number in range(10)])
    writer.add(Batch(objects=[manifest], manifests=[row]))
    writer.start()
    store.staged.wait()
    store.free.set()
    writer.put([chunk(number) for number in range(10, 12)])
    writer.finish(Batch())
    writer.close()
    assert store.events[0] == "stage"
    committed = [event for event in store.events if event != "stage"]
    assert committed == ["objects", "objects", "rows", "objects"]
