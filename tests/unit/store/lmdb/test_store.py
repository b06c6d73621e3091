from __future__ import annotations

import errno
import resource
import signal
import stat
import threading
from pathlib import Path

import lmdb
import pytest

from casync.errors import (
    CasyncError,
    DamagedStoreError,
    LockedError,
    NoSpaceError,
    NoStoreError,
    UnsupportedError,
    UsageError,
    WriteError,
)
from casync.fs.identity import FileIdentity
from casync.ids import EMPTY_ID, Kind
from casync.limits import MAP_BYTES, SEGMENT_BYTES
from casync.names.name import parse_name
from casync.objects.codec import Packed
from casync.store.base import Absence, Batch, RememberedFile
from casync.store.lmdb.lmdb_errors import translate
from casync.store.lmdb.reserve import RESERVE_BYTES
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import ids_of, noise, pack, put_manifest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "store"


def rewrite_meta(path: Path, key: bytes, value: bytes) -> None:
    with lmdb.open(str(path), map_size=2**30, max_dbs=32, lib_version=0) as environment:
        meta = environment.open_db(b"meta", create=False)
        with environment.begin(write=True, db=meta) as txn:
            txn.put(key, value)


def test_a_new_store_is_private_and_has_an_id(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        first = store.store_id
        assert store.writable
        assert store.path == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    files = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.iterdir()}
    assert files == {"data.mdb": 0o600, "lock.mdb": 0o600, "store.lock": 0o600}
    with LmdbStore.open(path) as store:
        assert store.store_id == first


def test_a_missing_store_is_an_error(tmp_path: Path, path: Path) -> None:
    with pytest.raises(NoStoreError, match="no store at"):
        LmdbStore.open(path)
    with pytest.raises(NoStoreError):
        LmdbStore.open(path, create=True, read_only=True)
    assert not path.exists()
    (tmp_path / "file").write_bytes(b"not a folder")
    with pytest.raises(NoStoreError):
        LmdbStore.open(tmp_path / "file")
    with pytest.raises(WriteError, match="not a folder"):
        LmdbStore.open(tmp_path / "file", create=True)
    with pytest.raises(CasyncError):
        LmdbStore.open(tmp_path / "file" / "below", create=True)


def test_the_remains_of_a_killed_creator_do_no_harm(path: Path) -> None:
    (path / "creating").mkdir(parents=True)
    (path / "creating" / "data.mdb").write_bytes(b"half")
    (path / "data.mdb").write_bytes(b"")
    with pytest.raises(NoStoreError):
        LmdbStore.open(path)
    with LmdbStore.open(path, create=True) as store:
        store.commit(Batch(objects=[pack(b"x")]))
    assert not (path / "creating").exists()


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_store_whose_data_file_lost_its_bytes_is_damaged(
    path: Path, create: bool, read_only: bool
) -> None:
    """No new store may take its place."""
    LmdbStore.open(path, create=True).close()
    (path / "data.mdb").write_bytes(b"")
    with pytest.raises(DamagedStoreError):
        LmdbStore.open(path, create=create, read_only=read_only)
    assert (path / "data.mdb").read_bytes() == b""


def test_a_creator_killed_at_the_very_end_leaves_a_store(path: Path) -> None:
    LmdbStore.open(path, create=True).close()
    (path / "creating").mkdir()
    (path / "lock.mdb").rename(path / "lock.mdb.new")
    LmdbStore.open(path, read_only=True).close()
    assert (path / "creating").exists()
    LmdbStore.open(path).close()
    assert {entry.name for entry in path.iterdir()} == {"data.mdb", "lock.mdb", "store.lock"}


def test_one_process_opens_a_store_once(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        for again in (path, path.parent / "." / path.name):
            with pytest.raises(LockedError, match="or was when it was forked"):
                LmdbStore.open(again)
        assert store.known(Kind.CHUNK, [EMPTY_ID]) == [False]
    LmdbStore.open(path).close()


def test_a_broken_disk_is_not_reported_as_full(path: Path) -> None:
    error = OSError(errno.EIO, "Input/output error")
    assert isinstance(translate(error, path, need=1), WriteError)
    assert isinstance(translate(error, path, need=2**62), NoSpaceError)


def test_using_a_closed_store_is_an_error(path: Path) -> None:
    store = LmdbStore.open(path, create=True)
    answers = store.get(Kind.CHUNK, [EMPTY_ID])
    store.close()
    store.close()
    with pytest.raises(UsageError, match="closed"):
        next(answers)
    with pytest.raises(UsageError, match="closed"):
        store.commit(Batch())


def test_a_newer_format_is_refused_by_name(path: Path) -> None:
    LmdbStore.open(path, create=True).close()
    rewrite_meta(path, b"format", (2).to_bytes(4, "little"))
    with pytest.raises(UnsupportedError, match="format 2; this program supports up to 1"):
        LmdbStore.open(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"format", bytes(4)), (b"format", b"x"), (b"store", b"short")],
)
def test_a_store_without_format_or_id_is_damaged(path: Path, key: bytes, value: bytes) -> None:
    LmdbStore.open(path, create=True).close()
    rewrite_meta(path, key, value)
    with pytest.raises(DamagedStoreError):
        LmdbStore.open(path)
    rewrite_meta(path, key, value)  # works only if the failed open left nothing open


def test_a_missing_database_is_named(path: Path) -> None:
    LmdbStore.open(path, create=True).close()
    with lmdb.open(str(path), map_size=2**30, max_dbs=32, lib_version=0) as environment:
        index = environment.open_db(b"index", create=False)
        with environment.begin(write=True) as txn:
            txn.drop(index)
    with pytest.raises(DamagedStoreError, match="lacks index") as caught:
        LmdbStore.open(path)
    assert "reindex" in caught.value.next_step


def test_a_read_only_store_refuses_to_write(path: Path) -> None:
    packed = pack(b"x")
    with LmdbStore.open(path, create=True) as store:
        store.commit(Batch(objects=[packed]))
    with LmdbStore.open(path, read_only=True) as store:
        assert not store.writable
        assert store.warnings == []
        assert list(store.get(Kind.CHUNK, [packed.id])) == [Packed(*packed)]
        with pytest.raises(WriteError, match="read-only"):
            store.commit(Batch(objects=[packed]))


def test_segments_are_shared_by_small_commits(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        for number in range(100):
            store.commit(Batch(objects=[pack(noise(3000, number))]))
        usage = store.usage()
        assert usage.segments == 1
        assert usage.objects[Kind.CHUNK] == (100, 300_000, 300_000)
        assert usage.used == 40 + 100 * (56 + 3000)
        assert usage.live == usage.used - 40
        store.commit(Batch(objects=[pack(noise(SEGMENT_BYTES, 1)), pack(b"x")]))
        assert store.usage().segments == 3


def test_usage_counts_everything(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        put_manifest(store, b"one", "a", "b")
        put_manifest(store, b"two", "a")
        usage = store.usage()
        assert (usage.manifests, usage.outlines, usage.names) == (2, 0, 2)
        assert usage.objects[Kind.CHUNK].number == 2
        assert usage.objects[Kind.MANIFEST].number == 2
        assert usage.objects[Kind.NODE] == (0, 0, 0)
        assert usage.map == MAP_BYTES
        assert 0 < usage.file < 2**20 + RESERVE_BYTES


def test_a_map_that_the_system_refuses_is_halved(path: Path) -> None:
    with LmdbStore.open(path, create=True, map_bytes=2**62) as store:
        assert 2**30 <= store.usage().map < 2**48
        assert any("address space" in warning for warning in store.warnings)


def test_a_failed_write_is_never_built_upon(path: Path) -> None:
    """A limit on the size of files acts as the failing disk."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    packed = [pack(noise(500_000, seed)) for seed in range(20)]
    try:
        with LmdbStore.open(path, create=True) as store:
            store.commit(Batch(objects=packed[:1]))
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
            with pytest.raises(CasyncError) as caught:
                store.commit(Batch(objects=packed))
            assert caught.value.code in ("write", "no-space")
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            with pytest.raises(WriteError, match="failed to write before"):
                store.commit(Batch(objects=packed))
            assert store.known(Kind.CHUNK, ids_of(packed)) == [True] + [False] * 19
            assert list(store.get(Kind.CHUNK, [packed[0].id])) == [Packed(*packed[0])]
        with LmdbStore.open(path) as store:
            store.commit(Batch(objects=packed))
            assert all(store.known(Kind.CHUNK, ids_of(packed)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_threads_share_a_store(path: Path) -> None:
    """Readers and writers at once, while the map grows."""
    LmdbStore.open(path, create=True).close()
    errors: list[BaseException] = []
    with LmdbStore.open(path, map_bytes=2**20) as store:

        def work(seed: int) -> None:
            try:
                mine = [pack(noise(20_000, seed * 1000 + n)) for n in range(60)]
                for start in range(0, 60, 5):
                    store.commit(Batch(objects=mine[start : start + 5]))
                    got = list(store.get(Kind.CHUNK, ids_of(mine[: start + 5])))
                    assert got == [Packed(*item) for item in mine[: start + 5]]
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert store.usage().objects[Kind.CHUNK].number == 360


def test_damage_in_a_payload_is_named_and_stays_alone(path: Path) -> None:
    packed = [pack(noise(5000, seed)) for seed in range(20)]
    with LmdbStore.open(path, create=True) as store:
        store.commit(Batch(objects=packed))
    data = bytearray((path / "data.mdb").read_bytes())
    data[data.find(packed[7].payload) + 100] ^= 4
    (path / "data.mdb").write_bytes(data)
    with LmdbStore.open(path) as store:
        expected: list[Packed | Absence] = [Packed(*item) for item in packed]
        expected[7] = Absence.DAMAGED
        assert list(store.get(Kind.CHUNK, ids_of(packed))) == expected
        store.check()


def test_the_newest_name_and_a_seed_survive_a_reopen(path: Path) -> None:
    file = RememberedFile(b"/a", FileIdentity(1, 2, 3, 4, 5), bytes(32), False)
    with LmdbStore.open(path, create=True) as store:
        ident = put_manifest(store, b"x", "label")
        store.commit(Batch(remember=[file]))
    with LmdbStore.open(path, read_only=True) as store:
        assert store.recall(b"/a") == file
        assert store.recall(b"/b") is None
        assert [record.manifest for record in store.history(parse_name("label"))] == [ident]
