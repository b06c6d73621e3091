from __future__ import annotations

import struct
from pathlib import Path

import pytest

from casync.errors import DamagedStoreError, NoStoreError
from casync.ids import Buffer, Kind, ManifestId, ObjectId
from casync.objects.codec import Packed
from casync.objects.record import encode_record
from casync.store.base import Batch
from casync.store.lmdb.salvage import salvage
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import noise, pack, put_manifest
from tests.support.small_store import SmallStore, content, fill
from tests.unit.store.lmdb.test_reindex import check_rows

PAGE = 4096


def page_kind(data: Buffer, page: int) -> int:
    """LMDB's flags of each page: 1 branch, 2 leaf, 4 large value, 8 meta; 0 inside large values."""
    number, _, flags = struct.unpack_from("=QHH", data, page * PAGE)
    return flags if number == page and flags in (1, 2, 4, 8) else 0


def survivors(small: SmallStore, data: bytes) -> set[tuple[Kind, ObjectId]]:
    """The objects with a whole record anywhere in `data`."""
    found = set()
    for key, item in small.objects.items():
        header = encode_record(item.kind, item.codec, item.length, item.id, item.payload)
        if header + item.payload in data:
            found.add(key)
    return found


def check_salvaged(small: SmallStore, file: Path, data: bytes, into: Path) -> None:
    file.write_bytes(data)
    alive = survivors(small, data)
    with LmdbStore.open(into, create=True) as store:
        report = salvage(file, store)
        assert report.objects == len(alive)
        for kind, ident in alive:
            item = small.objects[kind, ident]
            assert list(store.get(kind, [ident])) == [Packed(*item)]
        whole = {ident for ident, keys in small.manifests.items() if keys <= alive}
        assert {row.id for row in store.manifests()} == whole
        assert report.manifests == len(whole)


def test_every_zeroed_page_costs_only_what_lay_on_it(tmp_path: Path) -> None:
    small = fill(tmp_path / "store", versions=2, chunks=70, size=1500)
    whole = (tmp_path / "store" / "data.mdb").read_bytes()
    kinds = set()
    for page in range(len(whole) // PAGE):
        data = whole[: page * PAGE] + bytes(PAGE) + whole[(page + 1) * PAGE :]
        kinds.add(page_kind(whole, page))
        check_salvaged(small, tmp_path / "data.mdb", data, tmp_path / f"into{page}")
    assert kinds == {0, 1, 2, 4, 8}


def test_without_meta_root_and_branch_pages_everything_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "store"
    small = fill(path)
    data = bytearray((path / "data.mdb").read_bytes())
    lost = [page for page in range(len(data) // PAGE) if page_kind(data, page) in (1, 2, 8)]
    for page in lost:
        data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    (path / "data.mdb").write_bytes(data)
    with pytest.raises(DamagedStoreError) as caught:
        LmdbStore.open(path)
    assert "--salvage" in caught.value.next_step
    with LmdbStore.open(tmp_path / "into", create=True) as store:
        report = salvage(path, store)
        assert report.objects == len(small.objects)
        assert (report.manifests, report.outlines, report.names, report.damaged) == (3, 0, 4, 0)
        check_rows(store, small, set(small.manifests))


def test_a_truncated_file_is_salvaged(tmp_path: Path) -> None:
    small = fill(tmp_path / "store", versions=2, chunks=60)
    whole = (tmp_path / "store" / "data.mdb").read_bytes()
    for number, length in enumerate(range(0, len(whole), len(whole) // 9 + 101)):
        data = whole[:length]
        check_salvaged(small, tmp_path / "data.mdb", data, tmp_path / f"into{number}")


def test_damaged_objects_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "store"
    small = fill(path, versions=1)
    data = bytearray((path / "data.mdb").read_bytes())
    for item in list(small.objects.values())[:3]:
        data[data.find(item.payload)] ^= 1
    (path / "data.mdb").write_bytes(data)
    with LmdbStore.open(tmp_path / "into", create=True) as store:
        report = salvage(path / "data.mdb", store)
        assert (report.damaged, report.objects) == (3, len(small.objects) - 3)
        assert (report.manifests, report.outlines, report.names) == (0, 1, 0)


def test_a_store_inside_a_stored_image_gives_no_names(tmp_path: Path) -> None:
    """An image that holds a store has many sound records; only records that prove an id count."""
    fill(tmp_path / "inner", versions=1, chunks=40)
    image = (tmp_path / "inner" / "data.mdb").read_bytes()
    path = tmp_path / "store"
    with LmdbStore.open(path, create=True) as store:
        store.commit(Batch(objects=[pack(noise(900_000, 1)), pack(noise(900_000, 2))]))
        put_manifest(store, noise(20, 3) + image + noise(20, 4), "outer")
    data = bytearray((path / "data.mdb").read_bytes())
    # Breaks the check of the record that holds the inner store, so its records are found.
    data[data.find(image[PAGE * 3 : PAGE * 3 + 500]) - 1] ^= 1
    (path / "data.mdb").write_bytes(data)
    with LmdbStore.open(tmp_path / "into", create=True) as into:
        salvage(path, into)
        assert list(into.names()) == []


def test_existing_names_stay(tmp_path: Path) -> None:
    small = fill(tmp_path / "store")
    with LmdbStore.open(tmp_path / "into", create=True) as store:
        ours = put_manifest(store, b"ours", "images/disk")
        report = salvage(tmp_path / "store", store)
        assert report.names == len(small.history) - 1
        names = {record.name: record.manifest for record in store.names()}
        assert names.pop("images/disk") == ours
        assert names == {f"versions/{n}": ident for n, ident in enumerate(small.manifests)}
        again = salvage(tmp_path / "store", store)
        assert (again.objects, again.names) == (0, 0)


def test_a_file_larger_than_one_window_is_salvaged(tmp_path: Path) -> None:
    path = tmp_path / "store"
    large = [pack(noise(15 * 2**20 + n, n)) for n in range(4)]
    ident, packed = content([noise(100_000, 100 + n) for n in range(120)])
    with LmdbStore.open(path, create=True) as store:
        for item in large:
            store.commit(Batch(objects=[item]))
        store.commit(Batch(objects=packed))
    seen: list[int] = []
    with LmdbStore.open(tmp_path / "into", create=True) as store:
        report = salvage(path, store, advance=seen.append)
        assert report.objects == len(large) + len({(item.kind, item.id) for item in packed})
        assert report.damaged == 0
        assert [row.id for row in store.manifests()] == [ident]
    assert sum(seen) == (path / "data.mdb").stat().st_size
    assert len(seen) >= 2


def test_a_file_without_records_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "garbage").write_bytes(noise(50_000))
    with LmdbStore.open(tmp_path / "into", create=True) as store:
        assert salvage(tmp_path / "garbage", store) == (0, 0, 0, 0, 0, 0)
        with pytest.raises(NoStoreError):
            salvage(tmp_path / "nothing", store)
        assert list(store.objects(Kind.CHUNK)) == []
        assert store.manifest(ManifestId(bytes(32))) is None
