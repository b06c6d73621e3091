"""What LMDB writes is sound, and nothing else is; and plain reads find the rows that LMDB finds."""

from __future__ import annotations

import os
import random
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest

from casync.errors import DamagedStoreError
from casync.store.lmdb.data_file.checked_rows import rows_from, rows_until
from casync.store.lmdb.data_file.pages import BIG, leaf_nodes, metas
from casync.store.lmdb.data_file.trees import check_length, check_trees
from tests.crash.lmdb_pages import PAGE_BYTES, Page, map_pages

_LOWER = 12
_PAD = (8, 9)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR)
    try:
        yield fd
    finally:
        os.close(fd)


def check(fd: int, *, everything: bool = True) -> None:
    check_length(fd)
    assert check_trees(fd, metas(fd)[0].transaction, everything=everything, free=True) is not None


@pytest.fixture(scope="module")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Databases of one to three levels, large values, an empty one, and a list of free pages."""
    folder = tmp_path_factory.mktemp("trees")
    rng = random.Random(11)
    with lmdb.open(str(folder), map_size=2**26, max_dbs=8, lib_version=0) as environment:
        names = ("deep", "flat", "large", "one", "empty")
        databases = {name: environment.open_db(name.encode()) for name in names}
        for turn in range(4):
            with environment.begin(write=True) as txn:
                for _ in range(200):
                    txn.put(rng.randbytes(400), rng.randbytes(turn), db=databases["deep"])
                for number in range(40):
                    txn.put(b"%03d" % number, rng.randbytes(100 + turn), db=databases["flat"])
                for number in range(12):
                    size = 3000 + 5000 * (number % 3) + turn
                    txn.put(b"%d" % number, rng.randbytes(size), db=databases["large"])
                txn.put(b"key", b"%d" % turn, db=databases["one"])
    return folder / "data.mdb"


@pytest.fixture
def pages(data_file: Path) -> list[Page]:
    return map_pages(data_file.read_bytes())


def damaged(data_file: Path, folder: Path, at: int, new: bytes) -> Path:
    path = folder / "damaged"
    path.write_bytes(data_file.read_bytes())
    with opened(path) as fd:
        os.pwrite(fd, new, at)
    return path


def is_refused(path: Path, *, everything: bool = True) -> bool:
    with opened(path) as fd:
        try:
            check(fd, everything=everything)
        except DamagedStoreError:
            return True
    return False


def test_whatever_lmdb_writes_is_sound(tmp_path: Path) -> None:
    rng = random.Random(5)
    with lmdb.open(str(tmp_path), map_size=2**27, max_dbs=4, lib_version=0) as environment:
        names = [environment.open_db(name) for name in (b"a", b"b", b"c")]
        with opened(tmp_path / "data.mdb") as fd:
            for turn in range(60):
                with environment.begin(write=True) as txn:
                    database = rng.choice(names)
                    for _ in range(rng.choice([1, 20, 600])):
                        key = b"%d" % rng.randrange(3000) * rng.choice([1, 1, 30])
                        size = rng.choice([0, 8, 25, 300, 1900, 2100, 9000])
                        if rng.random() < 0.6:
                            txn.put(key, bytes(rng.randrange(size + 1)), db=database)
                        else:
                            txn.delete(key, db=database)
                    if turn % 17 == 16:
                        txn.drop(database, delete=False)
                check(fd)
                check(fd, everything=False)


def test_every_bit_of_every_page_header_counts(
    data_file: Path, pages: list[Page], tmp_path: Path
) -> None:
    assert {page.role for page in pages} == {"meta", "root", "branch", "leaf", "value"}
    rng = random.Random(3)
    of_roles: dict[tuple[str, str], list[Page]] = {}
    for page in pages:
        of_roles.setdefault((page.role, page.database), []).append(page)
    data = data_file.read_bytes()
    for (role, _), found in of_roles.items():
        if role == "meta":
            continue
        page = rng.choice(found)
        for offset in set(range(16)) - set(_PAD):
            for bit in range(8):
                at = page.number * PAGE_BYTES + offset
                path = damaged(data_file, tmp_path, at, bytes((data[at] ^ 1 << bit,)))
                assert is_refused(path), (page, offset, bit)


def test_a_zeroed_page_is_refused_even_where_only_small_databases_are_read(
    data_file: Path, pages: list[Page], tmp_path: Path
) -> None:
    for page in pages:
        path = damaged(data_file, tmp_path, page.number * PAGE_BYTES, bytes(PAGE_BYTES))
        assert is_refused(path), page
        if page.role != "value" and page.database != "deep":
            assert is_refused(path, everything=False), page


def test_rows_that_a_shorter_page_hides_are_missed(
    data_file: Path, pages: list[Page], tmp_path: Path
) -> None:
    data = data_file.read_bytes()
    page = next(page for page in pages if page.role == "leaf" and page.database == "flat")
    at = page.number * PAGE_BYTES + _LOWER
    (lower,) = struct.unpack_from("=H", data, at)
    path = damaged(data_file, tmp_path, at, struct.pack("=H", lower - 8))
    with opened(path) as fd, pytest.raises(DamagedStoreError, match="do not fill it"):
        check(fd)


def _swap_pointers(page: bytearray) -> None:
    page[16:18], page[18:20] = page[18:20], page[16:18]


def _repeat_pointer(page: bytearray) -> None:
    page[16:18] = page[18:20]


def _change_key(page: bytearray) -> None:
    at = struct.unpack_from("=H", page, 18)[0] + 8
    page[at] ^= 0xFF


@pytest.mark.parametrize("change", [_swap_pointers, _repeat_pointer, _change_key])
def test_nodes_out_of_order_are_refused(
    data_file: Path, pages: list[Page], tmp_path: Path, change: Callable[[bytearray], None]
) -> None:
    data = data_file.read_bytes()
    for database in ("deep", "flat", "large"):
        page = next(p for p in pages if p.database == database and p.role in ("leaf", "root"))
        start = page.number * PAGE_BYTES
        new = bytearray(data[start : start + PAGE_BYTES])
        change(new)
        assert is_refused(damaged(data_file, tmp_path, start, bytes(new))), database


def test_a_used_page_in_the_list_of_free_pages_is_refused(
    data_file: Path, pages: list[Page], tmp_path: Path
) -> None:
    data = data_file.read_bytes()
    root = next(page for page in pages if page.database == "free")
    start = root.number * PAGE_BYTES
    node = leaf_nodes(data[start : start + PAGE_BYTES], root.number)[0]
    at = start + node[1]
    if node[3] & BIG:
        at = struct.unpack_from("=Q", data, at)[0] * PAGE_BYTES + 16
    count, highest = struct.unpack_from("=QQ", data, at)
    assert count
    used = next(page.number for page in pages if page.number > highest)
    path = damaged(data_file, tmp_path, at + 8, struct.pack("=Q", used))
    with opened(path) as fd, pytest.raises(DamagedStoreError, match="free"):
        check(fd)


@pytest.mark.parametrize("page", [0, 1])
def test_meta_pages_of_transactions_that_do_not_follow_each_other_are_refused(
    data_file: Path, tmp_path: Path, page: int
) -> None:
    data = data_file.read_bytes()
    for bit in range(24):
        at = page * PAGE_BYTES + 144 + bit // 8
        path = damaged(data_file, tmp_path, at, bytes((data[at] ^ 1 << bit % 8,)))
        with opened(path) as fd:
            number, other = (
                os.pread(fd, 8, place * PAGE_BYTES + 144) for place in (page, 1 - page)
            )
            apart = int.from_bytes(number, sys.byteorder) - int.from_bytes(other, sys.byteorder)
            if abs(apart) == 1:
                continue  # what another transaction would have left
            with pytest.raises(DamagedStoreError, match="contradict"):
                metas(fd)


def test_plain_reads_find_what_a_cursor_finds(data_file: Path) -> None:
    rng = random.Random(8)
    with (
        lmdb.open(str(data_file.parent), max_dbs=8, readonly=True, lib_version=0) as environment,
        opened(data_file) as fd,
    ):
        for name in ("deep", "flat", "large", "one", "empty"):
            database = environment.open_db(name.encode(), create=False)
            with environment.begin(db=database) as txn:
                rows = list(txn.cursor().iternext())
                keys = [key for key, _ in rows]
                starts = [b"", b"\xff" * 9, *rng.sample(keys, min(9, len(keys))), rng.randbytes(3)]
                for start in starts:
                    forward = rows_from(fd, txn.id(), name, start)
                    backward = rows_until(fd, txn.id(), name, start)
                    assert forward is not None
                    assert backward is not None
                    assert list(forward) == [row for row in rows if row[0] >= start]
                    assert list(backward) == [row for row in reversed(rows) if row[0] < start]
                assert rows_from(fd, txn.id() + 9, name, b"") is None


def test_plain_reads_of_a_damaged_leaf_are_an_error(
    data_file: Path, pages: list[Page], tmp_path: Path
) -> None:
    for page in (page for page in pages if page.role == "leaf" and page.database == "flat"):
        path = damaged(data_file, tmp_path, page.number * PAGE_BYTES, bytes(PAGE_BYTES))
        with opened(path) as fd:
            rows = rows_from(fd, metas(fd)[0].transaction, "flat", b"")
            assert rows is not None
            with pytest.raises(DamagedStoreError):
                list(rows)
