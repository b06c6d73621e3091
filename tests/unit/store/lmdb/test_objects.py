"""What a store answers for objects: each record is compared with its row, its id and its check."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from casync.ids import Kind, chunk_id
from casync.limits import MAX_CHUNK_SIZE
from casync.objects.codec import Codec, Packed, Verified
from casync.objects.record import RECORD_BYTES
from casync.store.base import Absence, Batch
from casync.store.lmdb.opening import open_lmdb
from casync.store.lmdb.rows import IndexRow, decode_index, encode_index, index_key
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import ids_of, noise, pack

PLAIN = pack(noise(5000, 1))
SMALLER = pack(b"text " * 900)


def fill(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        store.commit(Batch(objects=[PLAIN, SMALLER, pack(noise(5000, 2))]))


@pytest.mark.parametrize("item", [PLAIN, SMALLER])
def test_any_change_of_a_record_is_damage(path: Path, item: Verified) -> None:
    fill(path)
    data = bytearray((path / "data.mdb").read_bytes())
    start = data.find(item.payload) - RECORD_BYTES
    end = start + RECORD_BYTES + len(item.payload)
    other = SMALLER if item is PLAIN else PLAIN
    for at in (*range(start, start + RECORD_BYTES), start + RECORD_BYTES, end - 1):
        data[at] ^= 1
        (path / "data.mdb").write_bytes(data)
        data[at] ^= 1
        with LmdbStore.open(path, read_only=True) as store:
            found = list(store.get(Kind.CHUNK, ids_of([item, other])))
            assert found == [Absence.DAMAGED, Packed(*other)], at - start


@pytest.mark.parametrize(
    "change",
    [
        {"stored": 2**32 - 1},
        {"stored": 2**32 - 1, "length": 2**32 - 1},
        {"length": MAX_CHUNK_SIZE + 1, "stored": MAX_CHUNK_SIZE + 1},
        {"stored": 4999},
        {"length": 4999},
        {"stored": 4999, "length": 4999},
        {"codec": 1},
        {"offset": 2**32 - 1},
        {"offset": 0},
        {"segment": 2**40},
    ],
)
def test_a_row_that_leads_elsewhere_is_damage(path: Path, change: dict[str, int]) -> None:
    fill(path)
    with closing(open_lmdb(path, read_only=False, map_bytes=2**30)) as environment:
        index = environment.open_db(b"index")
        with environment.begin(write=True, db=index) as txn:
            key = index_key(Kind.CHUNK, PLAIN.id)
            row = decode_index(txn.get(key) or b"")
            fields = {name: getattr(row, name) for name in row.__struct_fields__}
            txn.put(key, encode_index(IndexRow(**(fields | change))))
    with LmdbStore.open(path) as store:
        found = list(store.get(Kind.CHUNK, ids_of([SMALLER, PLAIN])))
        assert found == [Packed(*SMALLER), Absence.DAMAGED]


def test_plain_chunks_are_proved_by_their_check(path: Path) -> None:
    fill(path)
    node = pack(noise(100, 3), Kind.NODE)
    with LmdbStore.open(path) as store:
        store.commit(Batch(objects=[node]))
        plain, smaller = store.get(Kind.CHUNK, ids_of([PLAIN, SMALLER]))
        (stored_node,) = store.get(Kind.NODE, [node.id])
    assert isinstance(plain, Verified)
    assert not isinstance(smaller, Verified)
    assert isinstance(stored_node, Packed)
    assert not isinstance(stored_node, Verified)


def test_plain_bytes_under_another_id_are_damaged(path: Path) -> None:
    wrong = Verified(Kind.CHUNK, chunk_id(b"other"), Codec.RAW, 5000, noise(5000, 4))
    with LmdbStore.open(path, create=True) as store:
        store.commit(Batch(objects=[wrong, PLAIN]))
        found = list(store.get(Kind.CHUNK, ids_of([wrong, PLAIN])))
    assert found == [Absence.DAMAGED, PLAIN]


def test_ids_that_are_missing_and_ids_that_are_here_may_alternate_in_any_way(path: Path) -> None:
    packed = [pack(noise(600, seed)) for seed in range(700)]
    absent = [chunk_id(b"%d" % number) for number in range(2500)]
    ids = [*absent[:200], *ids_of(packed[:300]), *absent[200:], *ids_of(packed[300:]), absent[0]]
    with LmdbStore.open(path, create=True) as store:
        assert list(store.get(Kind.CHUNK, ids)) == [Absence.MISSING] * len(ids)
        store.commit(Batch(objects=packed))
        known = {item.id: Packed(*item) for item in packed}
        found = list(store.get(Kind.CHUNK, ids))
        assert found == [known.get(ident, Absence.MISSING) for ident in ids]
