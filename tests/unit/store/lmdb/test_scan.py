"""Walking a database in stretches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.ids import ManifestId
from casync.names.name import NameRecord, parse_name
from casync.names.name_update import NameUpdate
from casync.store.base import Batch
from casync.store.lmdb import scan as scanning
from casync.store.lmdb.data_file.checked_rows import Row, rows_from
from casync.store.lmdb.scan import scan, scan_back
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import put_manifest


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        yield store


def fill(store: LmdbStore, count: int) -> ManifestId:
    """Names `a/0` on, between two others."""
    ident = put_manifest(store, b"content")
    names = ["Z", *(f"a/{number}" for number in range(count)), "b"]
    store.commit(Batch(names=[NameUpdate(parse_name(name), ident) for name in names]))
    return ident


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 159, 160, 161, 3000])
def test_every_row_of_a_prefix_is_seen_once(store: LmdbStore, count: int) -> None:
    fill(store, count)
    environment = store._environment
    every = [key for key, _ in scan(environment, "names")]
    assert len(every) == len(set(every)) == count + 2
    assert every == sorted(every)
    below = every[1:-1]
    assert [key for key, _ in scan(environment, "names", prefix=b"a/")] == below
    assert [key for key, _ in scan_back(environment, "names", prefix=b"a/")] == below[::-1]
    assert [key for key, _ in scan(environment, "names", first=every[-1])] == every[-1:]


def test_a_short_prefix_costs_the_rows_that_it_has(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ident = fill(store, 1000)
    read = 0

    def counted(fd: int, transaction: int, database: str, first: bytes) -> Iterator[Row] | None:
        rows = rows_from(fd, transaction, database, first)

        def each() -> Iterator[Row]:
            nonlocal read
            for row in rows or ():
                read += 1
                yield row

        return None if rows is None else each()

    monkeypatch.setattr(scanning, "rows_from", counted)
    versions: list[NameRecord] = list(store.history(parse_name("a/500")))
    assert [record.manifest for record in versions] == [ident]
    assert 1 <= read <= 2
