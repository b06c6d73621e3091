"""The shared writer: groups of what is finished, one failure for all, and no lost objects."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from casync.cutting import batch_writer as batches
from casync.cutting.small import cut_small
from casync.errors import NoSpaceError
from casync.ids import Kind, ManifestId
from casync.limits import OBJECT_BYTES
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
from casync.objects.codec import Packer, Verified
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.record import ChunkRecords
from casync.ops.download.writing import ContentWriter, SharedWriter
from casync.store.base import Batch, Committed, ManifestState
from casync.store.memory import MemoryStore
from tests.support.preparing import noise


def chunk(seed: int) -> Verified:
    return Packer().pack_new(Kind.CHUNK, noise(1000, seed))


class Watched(MemoryStore):
    """Records commits; can be blocked, and can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []
        self.begun = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()
        self.fails = False

    def commit(self, batch: Batch) -> Committed:
        self.begun.release()
        self.free.wait()
        if self.fails:
            raise NoSpaceError("no space on /store")
        self.batches.append(batch)
        return super().commit(batch)


@pytest.fixture
def store() -> Watched:
    return Watched()


class Rows:
    """What `seal` returns: the manifests that are finished since the last commit."""

    def __init__(self) -> None:
        self.finished: list[tuple[ManifestId, ManifestState, int]] = []

    def seal(self) -> Batch | None:
        rows, self.finished = self.finished, []
        return Batch(manifests=rows) if rows else None

    def finish(self, writer: SharedWriter, seed: int) -> ManifestId:
        packed = Packer().pack_new(Kind.MANIFEST, b"manifest %d" % seed)
        with writer.turn(urgent=True) as batch:
            batch.put_absent([packed])
            self.finished.append((ManifestId(packed.id), ManifestState.FULL, 1))
        return ManifestId(packed.id)


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def writer(store: Watched, rows: Rows) -> Iterator[SharedWriter]:
    with SharedWriter(store, rows.seal, interval=3600) as writer:
        yield writer
        store.free.set()


def test_what_is_finished_while_a_commit_runs_goes_into_the_next_one(
    writer: SharedWriter, store: Watched, rows: Rows
) -> None:
    store.free.clear()
    rows.finish(writer, 0)
    store.begun.acquire()
    for seed in range(1, 10):
        rows.finish(writer, seed)
    store.free.set()
    writer.finish()
    assert [len(batch.manifests) for batch in store.batches] == [1, 9]


def test_rows_are_in_the_commit_of_their_objects_or_a_later_one(
    writer: SharedWriter, store: Watched, rows: Rows
) -> None:
    chunks = [chunk(seed) for seed in range(40)]
    for start in range(0, 40, 4):
        writer.put(chunks[start : start + 4])
        rows.finish(writer, start)
    writer.finish()
    here = set()
    for number, batch in enumerate(store.batches):
        here |= {packed.id for packed in batch.objects}
        finished = sum(len(each.manifests) for each in store.batches[: number + 1])
        assert len({each.id for each in chunks} & here) >= 4 * finished


def test_threads_that_put_the_same_chunks_store_them_once(
    writer: SharedWriter, store: Watched, rows: Rows
) -> None:
    data = noise(3_000_000, 7)
    contents = []

    def write() -> None:
        content = ContentWriter(writer, lambda chunks: None)
        chunks = cut_small(data, DEFAULT_PARAMS)
        for start in range(0, len(chunks), 10):
            content.take(chunks[start : start + 10])
        contents.append(content.finish())

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    packed = Packer().pack_new(
        Kind.MANIFEST, encode_manifest(Manifest("file", DEFAULT_PARAMS, contents[0]))
    )
    with writer.turn(urgent=True) as batch:
        batch.put_absent([packed])
        rows.finished.append((ManifestId(packed.id), ManifestState.FULL, len(data)))
    writer.finish()
    assert len(set(contents)) == 1
    stored = [each.id for batch in store.batches for each in batch.objects]
    stored += [each for batch in store.batches for some in batch.records for each in some.ids]
    assert len(stored) > len(data) // DEFAULT_PARAMS.max_size
    assert len(stored) == len(set(stored))


def test_notes_follow_the_chunks_that_they_tell_of(
    writer: SharedWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[bytes, int]] = []
    put: set[bytes] = set()
    real = writer.put_records

    def watched(records: ChunkRecords) -> None:
        real(records)
        put.update(records.ids)

    def note(chunks: Sequence[tuple[bytes, int]]) -> None:
        assert {ident for ident, _ in chunks} <= put
        told.extend(chunks)

    monkeypatch.setattr(writer, "put_records", watched)
    data = noise(300_000, 8)
    content = ContentWriter(writer, note)
    content.take(cut_small(data, ChunkerParams(64, 256, 1024)))
    assert sum(length for _, length in told) == len(data) == content.finish().length


def test_a_failed_commit_fails_every_thread(
    writer: SharedWriter, store: Watched, rows: Rows
) -> None:
    store.fails = True
    rows.finish(writer, 1)
    with pytest.raises(NoSpaceError):
        writer.finish()
    with pytest.raises(NoSpaceError):
        writer.put([chunk(1)])
    with pytest.raises(NoSpaceError):
        writer.missing(Kind.CHUNK, [chunk(1).id])
    with pytest.raises(NoSpaceError):
        writer.check()


def test_a_full_commit_makes_threads_wait_for_the_one_before(
    writer: SharedWriter, store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "COMMIT_BYTES", 3 * (1000 + OBJECT_BYTES))
    store.free.clear()
    writer.put([chunk(seed) for seed in range(3)])
    store.begun.acquire()
    writer.put([chunk(seed) for seed in range(3, 6)])
    thread = threading.Thread(target=writer.put, args=([chunk(9)],))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    store.free.set()
    thread.join()
    writer.finish()
    assert [len(batch.objects) for batch in store.batches][:2] == [3, 3]


def test_what_is_not_finished_is_dropped(store: Watched, rows: Rows) -> None:
    with SharedWriter(store, rows.seal, interval=3600) as writer:
        writer.put([chunk(1)])
    assert store.batches == []
    assert not [each for each in threading.enumerate() if "commit" in each.name]
