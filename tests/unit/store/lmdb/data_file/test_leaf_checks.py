"""Writers change no damaged leaf of a large database, and read each leaf once."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import lmdb
import pytest

from casync.errors import DamagedStoreError
from casync.fs.identity import FileIdentity
from casync.ids import Kind
from casync.names.name import parse_ref
from casync.store.base import Batch, RememberedFile
from casync.store.lmdb.data_file import leaf_checks, pages
from casync.store.lmdb.rows import IndexRow, encode_index
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import ids_of, noise, pack, put_manifest
from tests.crash.lmdb_pages import PAGE_BYTES, map_pages

_ROWS = 20_000
_NODE = 16
_DAMAGES = {
    "zeroed": (0, bytes(PAGE_BYTES)),
    "a branch": (10, b"\1\0"),
    "more nodes than fit": (12, struct.pack("<H", 60_000)),
    "room before the page": (14, struct.pack("<H", 8)),
    "a node beyond the page": (_NODE, struct.pack("<H", 5000)),
    "a node twice": (_NODE, None),
}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The data file of a store whose index is not read when it is opened."""
    path = tmp_path_factory.mktemp("large") / "store"
    LmdbStore.open(path, create=True).close()
    rng = random.Random(4)
    row = encode_index(IndexRow(1, 100, 3000, 9000, 1, 1))
    with lmdb.open(str(path), map_size=2**30, max_dbs=32, lib_version=0) as environment:
        index = environment.open_db(b"index", create=False)
        with environment.begin(write=True, db=index) as txn:
            keys = sorted(bytes((Kind.CHUNK,)) + rng.randbytes(32) for _ in range(_ROWS))
            txn.cursor().putmulti([(key, row) for key in keys])
    return (path / "data.mdb").read_bytes()


@pytest.fixture
def store_at(large: bytes, path: Path) -> Path:
    path.mkdir(mode=0o700)
    (path / "data.mdb").write_bytes(large)
    (path / "data.mdb").chmod(0o600)
    return path


def leaves(path: Path, database: str) -> list[int]:
    data = (path / "data.mdb").read_bytes()
    return [p.number for p in map_pages(data) if p.database == database and p.role == "leaf"]


def damage(path: Path, database: str, at: int, new: bytes | None) -> None:
    """Damages each leaf; without `new`, its first pointer becomes the second one."""
    fd = os.open(path / "data.mdb", os.O_RDWR)
    for number in leaves(path, database):
        start = number * PAGE_BYTES
        os.pwrite(fd, new or os.pread(fd, 2, start + at + 2), start + at)
    os.close(fd)


@pytest.mark.parametrize("how", _DAMAGES)
def test_objects_do_not_go_into_a_damaged_leaf(store_at: Path, how: str) -> None:
    damage(store_at, "index", *_DAMAGES[how])
    before = (store_at / "data.mdb").read_bytes()
    with (
        LmdbStore.open(store_at) as store,
        pytest.raises(DamagedStoreError, match="of the data file"),
    ):
        store.commit(Batch(objects=[pack(noise(5000))]))
    assert (store_at / "data.mdb").read_bytes()[: len(before)] == before


def test_objects_do_not_go_among_keys_that_are_out_of_order(store_at: Path) -> None:
    fd = os.open(store_at / "data.mdb", os.O_RDWR)
    for number in leaves(store_at, "index"):
        first = struct.unpack("=H", os.pread(fd, 2, number * PAGE_BYTES + _NODE))[0]
        os.pwrite(fd, b"\xff", number * PAGE_BYTES + first + 8 + 1)  # behind all other keys
    os.close(fd)
    with LmdbStore.open(store_at) as store, pytest.raises(DamagedStoreError, match="order"):
        store.commit(Batch(objects=[pack(noise(5000))]))


def test_good_leaves_beside_a_damaged_one_take_objects(store_at: Path) -> None:
    chunks = [[pack(noise(500, seed))] for seed in range(40)]
    damaged = leaves(store_at, "index")[7]
    fd = os.open(store_at / "data.mdb", os.O_RDWR)
    os.pwrite(fd, bytes(PAGE_BYTES), damaged * PAGE_BYTES)
    os.close(fd)
    with LmdbStore.open(store_at) as store:
        for objects in chunks:
            store.commit(Batch(objects=objects))
            assert store.known(Kind.CHUNK, ids_of(objects)) == [True]


def test_each_leaf_is_read_once(store_at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    keys = pages.leaf_keys

    def noting(page: bytes, number: int) -> list[bytes]:
        read.append(number)
        return keys(page, number)

    monkeypatch.setattr(leaf_checks, "leaf_keys", noting)
    objects = [pack(noise(50, seed)) for seed in range(3000)]
    with (
        LmdbStore.open(store_at) as store,
        LmdbStore.open(store_at.parent / "new", create=True) as new,
    ):
        for start in range(0, len(objects), 1000):
            store.commit(Batch(objects=objects[start : start + 1000]))
            new.commit(Batch(objects=objects[start : start + 1000]))
    assert len(read) == len(set(read))
    assert 300 < len(read) < 1.1 * len(leaves(store_at, "index"))


def test_a_checked_store_is_not_checked_again(
    store_at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LmdbStore.open(store_at) as store:
        store.check()
        monkeypatch.setattr(leaf_checks, "leaf_keys", None)
        store.commit(Batch(objects=[pack(noise(5000))]))


def test_files_are_not_remembered_in_a_damaged_leaf(path: Path) -> None:
    identity = FileIdentity(1, 2, 3, 4, 5)
    files = [
        RememberedFile(b"/some/where/%06d" % number + bytes(100), identity, bytes(32), True)
        for number in range(4000)
    ]
    with LmdbStore.open(path, create=True) as store:
        store.commit(Batch(remember=files))
    assert len(leaves(path, "seeds")) > 256
    with LmdbStore.open(path) as store:
        store.commit(Batch(forget=[files[0].path]))
    damage(path, "seeds", 14, struct.pack("<H", 8))
    with LmdbStore.open(path) as store, pytest.raises(DamagedStoreError):
        store.commit(Batch(forget=[files[1].path]))


def test_a_forecast_of_a_removal_finds_what_the_removal_would(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        put_manifest(store, noise(100), "a")
        put_manifest(store, noise(200), "b")
    data = (path / "data.mdb").read_bytes()
    (root,) = (p.number for p in map_pages(data) if p.database == "free" and p.role == "root")
    with (path / "data.mdb").open("r+b") as file:
        file.seek(root * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))
    with pytest.raises(DamagedStoreError):
        LmdbStore.open(path)
    with LmdbStore.open(path, read_only=True) as store:
        assert len(list(store.names())) == 2
        with pytest.raises(DamagedStoreError):
            store.removal([parse_ref("a")])
