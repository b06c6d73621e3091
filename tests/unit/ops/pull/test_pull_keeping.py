"""What a pull keeps in the store, what it leaves alone, and when a target is up to date."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from casync.access.compare import holds
from casync.access.endpoints import Endpoints
from casync.access.progress import SILENT
from casync.errors import DamagedObjectError, DigestMismatchError, UsageError
from casync.fs.source.file import StreamSource
from casync.fs.target.place import inspect_place
from casync.ids import Kind, ObjectId, zero_chunk_id
from casync.names.name import Ref
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Codec, Packed
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.pull.wanted import PullOptions
from casync.store.base import Absence, ManifestState
from casync.store.memory import MemoryStore
from tests.support.pulling import (
    PARAMS,
    MemoryServer,
    chunk_ids,
    forecast_file,
    noise,
    outline_of,
    pull_file,
    put,
    run,
)

DATA = noise(1, 50_000) + bytes(50_000) + noise(2, 3_000)


def test_all_chunks_are_kept_whatever_their_origin(tmp_path: Path) -> None:
    server, store = MemoryServer(), MemoryStore()
    seed = tmp_path / "seed"
    seed.write_bytes(DATA[:20_000])
    ident = put(server, DATA + DATA)
    run(ident, tmp_path / "out", server, store, cache=True, seeds=(seed,))
    row = store.manifest(ident)
    assert row is not None
    assert row.state is ManifestState.FULL
    run(ident, tmp_path / "again", MemoryServer(), store)
    assert (tmp_path / "again").read_bytes() == DATA + DATA
    assert store.known(Kind.CHUNK, [zero_chunk_id(PARAMS.max_size)]) == [True]


class Padding(MemoryServer):
    """A server that appends bytes to good frames."""

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        for answer in super().get(kind, ids):
            if kind is Kind.CHUNK and isinstance(answer, Packed) and answer.codec is Codec.ZSTD:
                yield answer._replace(payload=bytes(answer.payload) + b"more")
            else:
                yield answer


def test_a_chunk_with_trailing_bytes_is_refused(tmp_path: Path) -> None:
    server, store = Padding(), MemoryStore()
    text = b"".join(b"line %d of a text\n" % number for number in range(5000))
    ident = put(server, text + DATA)
    with pytest.raises(DamagedObjectError, match="is damaged on memory"):
        run(ident, tmp_path / "out", server, store, cache=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("in_place", [False, True])
def test_an_equal_target_is_kept_in_the_store_and_left_alone(
    in_place: bool, tmp_path: Path
) -> None:
    server, store = MemoryServer(), MemoryStore()
    ident = put(server, DATA)
    out = tmp_path / "out"
    out.write_bytes(DATA)
    before = out.stat()
    options = PullOptions(cache=True, in_place=in_place)
    endpoints = Endpoints(store, True, [store], [server])
    expected = forecast_file(Ref(manifest=ident), out, endpoints, options)
    pulled = pull_file(Ref(manifest=ident), out, endpoints, options)
    assert pulled.outcome == "up to date"
    assert pulled.sources == expected.sources
    assert out.stat().st_ino == before.st_ino
    assert out.stat().st_mtime_ns == before.st_mtime_ns
    assert server.asked == []
    row = store.manifest(ident)
    assert row is not None
    assert row.state is ManifestState.FULL
    assert all(store.known(Kind.CHUNK, [*chunk_ids(store, ident), zero_chunk_id(PARAMS.max_size)]))


def test_a_file_that_was_pulled_with_other_chunk_sizes_is_up_to_date(tmp_path: Path) -> None:
    server, store = MemoryServer(), MemoryStore()
    out = tmp_path / "out"
    run(put(server, DATA), out, server, store)
    inode = out.stat().st_ino
    options = PrepareOptions(params=ChunkerParams(512, 2048, 8192))
    other = prepare(StreamSource(io.BytesIO(DATA)), server, options).manifest
    assert run(other, out, server, store).outcome == "up to date"
    assert out.stat().st_ino == inode


def test_a_device_is_up_to_date_when_it_begins_with_the_content(tmp_path: Path) -> None:
    server = MemoryServer()
    outline = outline_of(put(server, DATA), server)
    (tmp_path / "device").write_bytes(DATA + b"what lies behind")
    place = inspect_place(tmp_path / "device", in_place=True)
    assert not holds(place, outline, SILENT)
    assert holds(place._replace(is_device=True), outline, SILENT)
    (tmp_path / "device").write_bytes(DATA[:-1])
    place = inspect_place(tmp_path / "device", in_place=True)._replace(is_device=True)
    assert not holds(place, outline, SILENT)


def test_chunks_cannot_be_kept_without_a_store(tmp_path: Path) -> None:
    server = MemoryServer()
    endpoints = Endpoints(MemoryStore(), False, [], [server])
    with pytest.raises(UsageError, match="no writable store"):
        pull_file(
            Ref(manifest=put(server, DATA)), tmp_path / "out", endpoints, PullOptions(cache=True)
        )


def test_the_digest_of_a_pull_into_the_store_is_checked() -> None:
    server, store = MemoryServer(), MemoryStore()
    ident = put(server, DATA)
    with pytest.raises(DigestMismatchError):
        run(ident, None, server, store, expect_sha256=bytes(32))
    assert store.manifest(ident) is None


def test_the_digest_of_a_file_that_is_up_to_date_is_checked(tmp_path: Path) -> None:
    server, store = MemoryServer(), MemoryStore()
    ident = put(server, DATA)
    (tmp_path / "out").write_bytes(DATA)
    with pytest.raises(DigestMismatchError):
        run(ident, tmp_path / "out", server, store, expect_sha256=bytes(32))


def test_a_server_supplies_chunks_that_are_damaged_in_a_full_store(tmp_path: Path) -> None:
    server, local = MemoryServer(), MemoryServer()
    ident = put(server, DATA)
    put(local, DATA)
    local.absent[chunk_ids(server, ident)[3]] = Absence.DAMAGED
    pull_file(Ref(manifest=ident), tmp_path / "out", Endpoints(local, True, [local], [server]))
    assert (tmp_path / "out").read_bytes() == DATA
