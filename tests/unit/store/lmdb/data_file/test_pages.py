from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest

from casync.errors import DamagedStoreError, UnsupportedError
from casync.store.lmdb.data_file.pages import metas
from casync.store.lmdb.data_file.trees import check_length, check_trees

PAGE = 4096


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    """A file with several databases, overflow pages, branch pages and a list of free pages."""
    with lmdb.open(str(tmp_path), map_size=2**26, max_dbs=4, lib_version=0) as environment:
        small, large = environment.open_db(b"small"), environment.open_db(b"large")
        for turn in range(5):
            with environment.begin(write=True) as txn:
                for number in range(400):
                    txn.put(b"%d" % (number * 7 % 1000), bytes(100 + turn), db=small)
                for number in range(30):
                    txn.put(b"%d" % number, bytes(9000 * (turn + 1)), db=large)
    return tmp_path / "data.mdb"


def test_the_newest_meta_page_comes_first(data_file: Path) -> None:
    with opened(data_file) as fd:
        newer, older = metas(fd)
        assert newer.transaction == older.transaction + 1
        assert newer.page_size == PAGE
        assert check_trees(fd, newer.transaction) is not None
        assert check_trees(fd, newer.transaction + 1) is None
        check_length(fd)


def test_every_length_below_what_is_in_use_is_refused(data_file: Path) -> None:
    whole = data_file.read_bytes()
    with opened(data_file) as fd:
        in_use = metas(fd)[0].last_page + 1
        for pages in [*range(1, 12), *range(12, in_use, 37)]:
            os.ftruncate(fd, pages * PAGE)
            with pytest.raises(DamagedStoreError):
                check_length(fd)
            os.pwrite(fd, whole, 0)
        check_length(fd)
        os.ftruncate(fd, len(whole) + 12345)
        check_length(fd)


def test_free_pages_at_the_end_may_be_missing(tmp_path: Path) -> None:
    """LMDB may leave a file shorter than its meta page says; such a file is whole."""
    shorter = 0
    with lmdb.open(str(tmp_path), map_size=2**26, max_dbs=1, lib_version=0) as environment:
        database = environment.open_db(b"rows")
        rng = random.Random(3)
        for turn in range(200):
            with environment.begin(write=True, db=database) as txn:
                for _ in range(rng.randrange(1, 30)):
                    txn.put(b"%d" % rng.randrange(300), bytes(rng.randrange(2000)))
                # Pages that are allocated and freed within one transaction are never written.
                for number in range(rng.randrange(60)):
                    txn.put(b"x%d" % number, bytes(1500))
                for number in range(60):
                    txn.delete(b"x%d" % number)
            with opened(tmp_path / "data.mdb") as fd:
                size = os.fstat(fd).st_size
                shorter += size < (metas(fd)[0].last_page + 1) * PAGE
                check_length(fd)
                assert check_trees(fd, metas(fd)[0].transaction) is not None, turn
    assert shorter, "the case that this test is about did not come up"


def test_a_value_that_reaches_beyond_the_file_is_refused(data_file: Path) -> None:
    whole = data_file.read_bytes()
    found = 0
    with opened(data_file) as fd:
        transaction = metas(fd)[0].transaction
        # The size of a value of 45000 bytes, wherever it is in a leaf.
        size = (9000 * 5).to_bytes(4, "little")
        at = whole.find(size)
        while at >= 0:
            os.pwrite(fd, b"\xff\xff\xff\x7f", at)
            try:
                check_trees(fd, transaction)
            except DamagedStoreError:
                found += 1
            os.pwrite(fd, size, at)
            at = whole.find(size, at + 1)
    assert found >= 30


@pytest.mark.parametrize("page", [0, 1])
def test_a_lost_meta_page_is_refused(data_file: Path, page: int) -> None:
    with opened(data_file) as fd:
        os.pwrite(fd, bytes(PAGE), page * PAGE)
        with pytest.raises(DamagedStoreError, match="meta page"):
            check_length(fd)


def test_a_file_of_another_lmdb_is_unsupported(tmp_path: Path) -> None:
    lmdb.open(str(tmp_path), map_size=2**20, lib_version=1).close()
    with opened(tmp_path / "data.mdb") as fd, pytest.raises((UnsupportedError, DamagedStoreError)):
        check_length(fd)
