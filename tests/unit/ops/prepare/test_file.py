"""Prepare into both stores: the same hash however bytes arrive, and only new objects stored."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from casync.cutting import batch_writer as batches
from casync.cutting import serial
from casync.errors import DigestMismatchError, UsageError
from casync.fs.source.file import FileSource, Hole, Source, StreamSource, open_source
from casync.ids import Kind
from casync.limits import GIB, KIB, MIB
from casync.names.name import Name, parse_ref
from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.store.base import ManifestState, ObjectStore
from casync.store.memory import MemoryStore
from tests.support.preparing import PARAMS, Counter, chunks, content_of, hash_of, noise, stream

pytestmark = pytest.mark.stores("memory", "lmdb")

SMALL = PrepareOptions(params=PARAMS)
LENGTHS = {
    "nothing": 0,
    "one byte": 1,
    "min - 1": 255,
    "min": 256,
    "min + 1": 257,
    "max - 1": 4095,
    "max": 4096,
    "max + 1": 4097,
    "two max": 8192,
    "many": 700_001,
}
FILLINGS: dict[str, Callable[[int], bytes]] = {
    "noise": noise,
    "zeros": bytes,
    "text": lambda length: (b"a line of text, and another\n" * (length // 28 + 1))[:length],
}


def as_bytes(_: Path, data: bytes) -> Iterator[Source]:
    yield stream(data)


def as_file(folder: Path, data: bytes) -> Iterator[Source]:
    path = folder / "file"
    path.write_bytes(data)
    with FileSource(path) as source:
        yield source


def as_sparse_file(folder: Path, data: bytes) -> Iterator[Source]:
    """Every block of zeros is a hole."""
    path = folder / "sparse"
    with path.open("wb") as file:
        file.truncate(len(data))
        for start in range(0, len(data), 4096):
            if any(block := data[start : start + 4096]):
                file.seek(start)
                file.write(block)
    with FileSource(path) as source:
        yield source


def as_standard_input(folder: Path, data: bytes) -> Iterator[Source]:
    path = folder / "input"
    path.write_bytes(data)
    with path.open("rb") as file, open_source(file) as source:
        yield source


def as_pipe(_: Path, data: bytes) -> Iterator[Source]:
    reader, writer = os.pipe()

    def write() -> None:
        with open(writer, "wb", buffering=0) as file:
            for start in range(0, len(data), 5000):
                file.write(data[start : start + 5000])

    thread = threading.Thread(target=write)
    thread.start()
    with open(reader, "rb", buffering=0) as file:
        yield StreamSource(file)
    thread.join()


@pytest.mark.parametrize("arrive", [as_bytes, as_file, as_sparse_file, as_standard_input, as_pipe])
@pytest.mark.parametrize("filling", FILLINGS)
def test_the_hash_is_that_of_the_bytes(
    store: ObjectStore,
    tmp_path: Path,
    filling: str,
    arrive: Callable[[Path, bytes], Iterator[Source]],
) -> None:
    for label, length in LENGTHS.items():
        data = FILLINGS[filling](length)
        for source in arrive(tmp_path, data):
            done = prepare(source, store, SMALL)
        assert (label, done.manifest) == (label, hash_of(data))
        assert done.length == length
        assert content_of(store, done.manifest) == data
        row = store.manifest(done.manifest)
        assert row is not None
        assert (row.state, row.length) == (ManifestState.FULL, length)


def test_holes_in_odd_places(store: ObjectStore, tmp_path: Path) -> None:
    for seed in range(20):
        parts = [
            noise(100 * seed + 1, seed),
            bytes(MIB + 4096 * seed + seed),
            noise(1, seed),
            bytes(300_000 + 7919 * seed),
            noise(70_000, seed),
            bytes(4096 * 200 + seed),
        ]
        data = b"".join(parts)
        for source in as_sparse_file(tmp_path, data):
            assert prepare(source, store, SMALL).manifest == hash_of(data)


def test_five_gib_of_almost_nothing(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(5 * GIB)
        file.seek(3 * GIB + 12_345)
        file.write(b"something")
    with FileSource(path) as source:
        done = prepare(source, store)
    assert done.length == 5 * GIB
    assert done.chunks >= 5 * GIB // DEFAULT_PARAMS.max_size
    assert done.new <= 10
    # Every chunk of zeros is the largest one, so the position of other bytes does not matter.
    assert prepare(stream(bytes(64 * MIB)), store).new == 0


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small jobs and commits, so that little data keeps many threads busy."""
    monkeypatch.setattr(serial, "_HELD_BYTES", 32 * KIB)
    monkeypatch.setattr(batches, "COMMIT_BYTES", 128 * KIB)


def small_blocks(data: bytes) -> Source:
    class SmallBlocks(StreamSource):
        def blocks(self, size: int = 0) -> Iterator[bytes | Hole]:
            return super().blocks(16 * KIB)

    return SmallBlocks(io.BytesIO(data))


@pytest.mark.usefixtures("small_steps")
def test_any_number_of_workers_gives_the_same_result() -> None:
    data = noise(300_000) + bytes(200_000) + noise(500_000, 1) + noise(300_000)
    expected = hash_of(data)
    counts = set()
    for turn in range(20):
        for workers in (1, 2, 3, 5, 8, 16) if turn else range(1, 17):
            store = MemoryStore()
            options = PrepareOptions(params=PARAMS, workers=workers)
            done = prepare(small_blocks(data), store, options)
            assert done.manifest == expected
            counts.add((done.chunks, done.new, done.reused, done.stored))
            if not turn:
                assert content_of(store, done.manifest) == data
    assert len(counts) == 1


# -- Counts ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_steps")
def test_a_chunk_that_repeats_is_stored_once(store: ObjectStore) -> None:
    data = noise(150_000) * 6
    done = prepare(small_blocks(data), store, PrepareOptions(params=PARAMS, workers=8))
    distinct = set(chunks(data))
    assert done.chunks == len(chunks(data))
    assert done.new == len(distinct) == sum(1 for _ in store.objects(Kind.CHUNK))
    assert done.reused == done.chunks - done.new


def test_known_chunks_are_not_stored_again(store: ObjectStore) -> None:
    data = noise(MIB)
    first = prepare(stream(data), store, SMALL)
    again = prepare(stream(data), store, SMALL)
    assert (again.manifest, again.new, again.stored) == (first.manifest, 0, 0)
    changed = prepare(stream(data[:500_000] + b"x" + data[500_000:]), store, SMALL)
    assert 0 < changed.new < 10
    assert changed.stored < 60_000 < first.stored


def test_stored_bytes_are_counted() -> None:
    store = MemoryStore()
    done = prepare(stream(noise(MIB)), store, SMALL)
    sizes = [
        stat.stored
        for kind in Kind
        for stat in store.stat(kind, list(store.objects(kind)))
        if stat is not None
    ]
    assert done.stored == sum(sizes)


@pytest.mark.parametrize("arrive", [as_bytes, as_sparse_file])
def test_progress_reaches_the_total(
    tmp_path: Path, arrive: Callable[[Path, bytes], Iterator[Source]]
) -> None:
    data = noise(MIB) + bytes(5 * MIB) + noise(100)
    progress = Counter()
    for source in arrive(tmp_path, data):
        prepare(source, MemoryStore(), SMALL, progress)
        assert progress.phases == [("reading", source.length)]
    assert progress.done == len(data)
    assert progress.notes == []


# -- Options -----------------------------------------------------------------------------------


def test_chunk_sizes_are_part_of_the_hash(store: ObjectStore) -> None:
    data = noise(100_000)
    for params in (PARAMS, ChunkerParams(64, 256, 1024), ChunkerParams.from_average(65536)):
        done = prepare(stream(data), store, PrepareOptions(params=params))
        assert done.manifest == hash_of(data, params)
        assert content_of(store, done.manifest) == data


def test_the_level_is_not_part_of_the_hash() -> None:
    data = b"".join(b"line %d of a log\n" % number for number in range(20_000))
    stored = []
    for level in (1, 19):
        store = MemoryStore()
        done = prepare(stream(data), store, PrepareOptions(level=level))
        assert done.manifest == hash_of(data, DEFAULT_PARAMS)
        assert content_of(store, done.manifest) == data
        stored.append(done.stored)
    assert stored[1] < stored[0] < len(data)


@pytest.mark.parametrize("options", [{"workers": -1}, {"workers": 65}, {"level": 0}])
def test_impossible_options_are_usage_errors(options: dict[str, int]) -> None:
    store = MemoryStore()
    with pytest.raises(UsageError):
        prepare(stream(b"x"), store, PrepareOptions(**options))  # type: ignore[arg-type]
    assert list(store.manifests()) == []


def test_a_name_moves_on_to_the_result(store: ObjectStore) -> None:
    name = Name("images/disk")
    options = PrepareOptions(params=PARAMS, name=name)
    for version, data in enumerate((noise(5000), noise(5000, 1)), 1):
        done = prepare(stream(data), store, options)
        assert done.name is not None
        assert (done.name.name, done.name.version) == (name, version)
        assert store.resolve(parse_ref("images/disk")) == done.manifest == hash_of(data)
    assert len(store.history(name)) == 2


def test_the_expected_digest_is_compared(store: ObjectStore, tmp_path: Path) -> None:
    data = noise(MIB) + bytes(3 * MIB + 5) + noise(10)
    digest = hashlib.sha256(data).digest()
    options = PrepareOptions(params=PARAMS, expect_sha256=digest)
    for source in as_sparse_file(tmp_path, data):
        assert prepare(source, store, options).manifest == hash_of(data)
    assert prepare(stream(b""), store, PrepareOptions(expect_sha256=hashlib.sha256().digest()))


@pytest.mark.parametrize("length", [0, 1, MIB])
def test_content_with_another_digest_is_not_published(
    store: ObjectStore, tmp_path: Path, length: int
) -> None:
    options = PrepareOptions(params=PARAMS, name=Name("disk"), expect_sha256=bytes(32))
    for source in as_file(tmp_path, noise(length)):
        with pytest.raises(DigestMismatchError, match=hashlib.sha256(noise(length)).hexdigest()):
            prepare(source, store, options)
    assert list(store.manifests()) == []
    assert list(store.names()) == []
    assert list(store.remembered()) == []
    assert store.manifest(hash_of(noise(length))) is None


def test_other_chunk_sizes_than_those_of_the_store_are_noted() -> None:
    notes: list[str] = []

    class Notes:
        def start(self, what: str, total: int | None) -> None: ...

        def advance(self, count: int) -> None: ...

        def note(self, text: str) -> None:
            notes.append(text)

    store = MemoryStore()
    prepare(stream(b"first"), store, PrepareOptions(params=PARAMS), Notes())
    prepare(stream(b"second"), store, PrepareOptions(params=PARAMS), Notes())
    assert notes == []
    prepare(stream(b"third"), store, PrepareOptions(), Notes())
    assert notes == [
        "the store holds content of other chunk sizes (average 1024 bytes, not 16384); "
        "nothing is shared with it"
    ]
