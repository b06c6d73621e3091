"""Damage that hides what must stay: nothing is deleted, and the error says what to run."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import lmdb
import pytest

from casync.errors import DamagedStoreError
from casync.ids import Kind
from casync.names.name import parse_name, parse_ref
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch
from casync.store.lmdb.backup import compact
from casync.store.lmdb.databases import DATABASES, LATER_DATABASES
from casync.store.lmdb.opening import open_lmdb
from casync.store.lmdb.push_rows import PushRow, encode_push
from casync.store.lmdb.reindex import reindex
from casync.store.lmdb.rows import SegmentUse, decode_segment_use, encode_segment_use, index_key
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import noise, pack
from tests.crash.lmdb_pages import PAGE_BYTES, map_pages
from tests.support.small_store import SmallStore, fill

NOW: Final = CollectOptions(window=0)
LOOSE: Final = [pack(noise(2000, 10**7 + number)) for number in range(40)]


class Raw:
    """The databases of a closed store, to be spoilt."""

    def __init__(self, txn: lmdb.Transaction[bytes], databases: dict[str, lmdb._Database]) -> None:
        self.txn = txn
        self.databases = databases

    def rows(self, database: str) -> list[tuple[bytes, bytes]]:
        return list(self.txn.cursor(self.databases[database]).iternext())

    def put(self, database: str, key: bytes, value: bytes) -> None:
        self.txn.put(key, value, db=self.databases[database])

    def delete(self, database: str, key: bytes) -> None:
        self.txn.delete(key, db=self.databases[database])


def spoil(path: Path, change: Callable[[Raw], None]) -> None:
    with closing(open_lmdb(path, read_only=False, map_bytes=2**30)) as environment:
        databases = {
            name: environment.open_db(name.encode()) for name in (*DATABASES, *LATER_DATABASES)
        }
        with environment.begin(write=True) as txn:
            change(Raw(txn, databases))


@pytest.fixture
def small(path: Path) -> SmallStore:
    """Names, something in the trash, and loose chunks that a collection deletes."""
    small = fill(path, versions=4, chunks=40)
    with LmdbStore.open(path) as store:
        store.commit(Batch(objects=LOOSE))
        store.remove([parse_ref("images/disk@2"), parse_ref("versions/1")])
    return small


def lose_manifest(raw: Raw) -> None:
    raw.delete("manifests", raw.rows("manifests")[0][0])


def lose_removed_manifest(raw: Raw) -> None:
    raw.delete("trash", next(key for key, _ in raw.rows("trash") if key[:1] == b"m"))


def misname_version(raw: Raw) -> None:
    key, value = raw.rows("name_log")[-1]
    raw.delete("name_log", key)
    raw.put("name_log", key[:-1] + b"\x7f", value)


def misname_name(raw: Raw) -> None:
    key, value = raw.rows("names")[-1]
    raw.delete("names", key)
    raw.put("names", key[:-1] + b"~", value)


def misname_removed(raw: Raw) -> None:
    key, value = next(row for row in raw.rows("trash") if row[0][:1] == b"m")
    raw.delete("trash", key)
    raw.put("trash", b"l" + key[1:], value)


def garble_removed(raw: Raw) -> None:
    key, value = next(row for row in raw.rows("trash") if row[0][:1] == b"m")
    raw.put("trash", key, b"\xc1" + value[1:])


def lift_push(raw: Raw) -> None:
    raw.put("pushes", bytes(16), encode_push(PushRow(10**6, 2**40)))


def garble_file(raw: Raw) -> None:
    key, _ = next(row for row in raw.rows("seeds") if row[0][:1] == b"s")
    raw.put("seeds", key, b"\xc1")


@pytest.mark.parametrize(
    "change",
    [
        lose_manifest,
        lose_removed_manifest,
        misname_version,
        misname_name,
        misname_removed,
        garble_removed,
        lift_push,
        garble_file,
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_roots_that_contradict_each_other_stop_a_collection(
    path: Path, small: SmallStore, change: Callable[[Raw], None], dry_run: bool
) -> None:
    spoil(path, change)
    before = objects_of(path)
    with (
        LmdbStore.open(path, read_only=dry_run) as store,
        pytest.raises(DamagedStoreError) as caught,
    ):
        collect(store, CollectOptions(window=0, dry_run=dry_run))
    assert "casync store reindex" in caught.value.next_step
    assert objects_of(path) == before
    with pytest.raises(DamagedStoreError):
        compact(path)
    reindex(path)
    with LmdbStore.open(path) as store:
        assert len(list(store.names())) == 4
        assert collect(store, NOW).objects
    compact(path)


def objects_of(path: Path) -> int:
    with LmdbStore.open(path, read_only=True) as store:
        return sum(1 for kind in Kind for _ in store.objects(kind))


@pytest.mark.parametrize("change", [lose_manifest, misname_version, misname_removed])
def test_names_that_contradict_the_manifests_stop_a_removal(
    path: Path, small: SmallStore, change: Callable[[Raw], None]
) -> None:
    spoil(path, change)
    with LmdbStore.open(path) as store:
        for remove in (store.removal, store.remove):
            with pytest.raises(DamagedStoreError, match=r"row|lacks"):
                remove([parse_ref("versions/0")])
        assert store.version(parse_name("versions/0"), 0)


def test_a_page_that_hides_manifests_of_an_open_store_stops_everything_that_deletes(
    path: Path, small: SmallStore
) -> None:
    """One bit of `mp_lower`: LMDB shows fewer rows, and says nothing."""
    with LmdbStore.open(path) as store:
        data = (path / "data.mdb").read_bytes()
        leaf = next(page.number for page in map_pages(data) if page.database == "manifests")
        at = leaf * PAGE_BYTES + 12
        (lower,) = struct.unpack_from("=H", data, at)
        shorter = max(lower ^ 1 << bit for bit in range(1, 12) if 16 < lower ^ 1 << bit < lower)
        fd = os.open(path / "data.mdb", os.O_RDWR)
        os.pwrite(fd, struct.pack("=H", shorter), at)
        os.close(fd)
        with pytest.raises(DamagedStoreError, match="do not fill it"):
            collect(store, NOW)
        with pytest.raises(DamagedStoreError, match="do not fill it"):
            store.remove([parse_ref("versions/0")])
        with pytest.raises(DamagedStoreError, match="do not fill it"):
            list(store.manifests())
    for act in (compact, reindex, LmdbStore.open):
        with pytest.raises(DamagedStoreError) as caught:
            act(path)
        assert "--salvage" in caught.value.next_step


def test_an_index_row_under_another_id_is_not_swept(path: Path, small: SmallStore) -> None:
    """The object that it stands for may live."""
    live = next(ident for kind, ident in small.objects if kind is Kind.CHUNK)

    def rename(raw: Raw) -> None:
        key = index_key(Kind.CHUNK, live)
        value = raw.txn.get(key, db=raw.databases["index"])
        assert value
        raw.delete("index", key)
        raw.put("index", key[:4] + bytes((key[4] ^ 1,)) + key[5:], value)

    spoil(path, rename)
    with (
        LmdbStore.open(path) as store,
        pytest.raises(DamagedStoreError, match="does not lie where the index says"),
    ):
        collect(store, NOW)
    reindex(path)
    with LmdbStore.open(path) as store:
        collect(store, NOW)
        assert store.known(Kind.CHUNK, [live]) == [True]


def test_a_segment_that_holds_more_than_is_counted_stays(path: Path, small: SmallStore) -> None:
    with LmdbStore.open(path) as store:  # so that it is not the last segment
        store.commit(Batch(objects=[pack(noise(1_000_000, 1)), pack(noise(1_000_000, 2))]))

    def miscount(raw: Raw) -> None:
        key, value = raw.rows("segment_use")[0]
        use = decode_segment_use(value)
        raw.put("segment_use", key, encode_segment_use(SegmentUse(use.used, 1)))

    spoil(path, miscount)
    with (
        LmdbStore.open(path) as store,
        pytest.raises(DamagedStoreError, match="more than the store counts"),
    ):
        collect(store, NOW)
    reindex(path)
    with LmdbStore.open(path) as store:
        collect(store, NOW)
        store.check()


def test_a_database_under_a_damaged_name_is_not_made_anew(path: Path, small: SmallStore) -> None:
    data = (path / "data.mdb").read_bytes()
    main = max(page.number for page in map_pages(data) if page.database == "main")
    start = main * PAGE_BYTES
    at = data.index(b"trash", start, start + PAGE_BYTES)
    (path / "data.mdb").write_bytes(data[:at] + b"trasi" + data[at + 5 :])
    with pytest.raises(DamagedStoreError, match="lacks trash"):
        LmdbStore.open(path)


def test_a_removed_manifest_outlives_the_versions_that_point_to_it(
    path: Path, small: SmallStore
) -> None:
    """A clock that is set back between two removals must not look like damage later."""
    with LmdbStore.open(path) as store:
        store._clock = lambda: 2_000_000_000.0
        store.remove([parse_ref("images/disk@3")])
        store._clock = lambda: 1_000_000_000.0
        store.remove([parse_ref("versions/2")])
        for when in (1_500_000_000.0, 1_600_000_000.0, 1_700_000_000.0):
            store._clock = lambda when=when: when  # type: ignore[misc]
            collect(store)
        collect(store, NOW)
        assert store.removed() == []
