"""Two processes of one host commit at once: one while the other sends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from casync.bucket.keys import HEAD_KEY, RUNS
from casync.bucket_stores import open_bucket_store
from casync.fs.identity import FileIdentity
from casync.names.name import parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.store.base import Batch, RememberedFile
from casync.store.bucket.store import BucketStore
from tests.contract.store_contract import put_manifest
from tests.support.forked import run_python
from tests.support.stalling_storage import StallingStorage, running

_OTHER = """
import sys
from pathlib import Path
from casync.bucket_stores import open_bucket_store
from casync.fs.identity import FileIdentity
from casync.names.name import parse_name
from casync.names.name_update import NameUpdate
from casync.store.base import Batch, RememberedFile

with open_bucket_store(sys.argv[1], Path(sys.argv[2])) as store:
    ident = next(store.manifests()).id
    file = RememberedFile(b"/other", FileIdentity(1, 2, 3, 4, 5), ident, True)
    store.commit(Batch(remember=[file]))
    if len(sys.argv) > 3:
        store.set_name(NameUpdate(parse_name(sys.argv[3]), ident))
"""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[StallingStorage]:
    with closing(StallingStorage(tmp_path / "bucket")) as storage:
        yield storage


@pytest.fixture
def store(tmp_path: Path, storage: StallingStorage) -> Iterator[BucketStore]:
    address = f"file://{tmp_path}/bucket"
    with open_bucket_store(
        address, tmp_path / "host", create=True, around=lambda _: storage
    ) as store:
        yield store


@pytest.mark.parametrize("stalls", [RUNS, HEAD_KEY])
@pytest.mark.parametrize("name", ["", "later"])
def test_both_remember_their_files(
    tmp_path: Path, storage: StallingStorage, store: BucketStore, stalls: str, name: str
) -> None:
    ident = put_manifest(store, b"1", "first")
    mine = RememberedFile(b"/mine", FileIdentity(6, 7, 8, 9, 10), ident, settled=True)
    update = NameUpdate(parse_name("stalled"), ident)
    storage.stalls = stalls
    with running(lambda: store.commit(Batch(names=[update], remember=[mine]))):
        try:
            storage.wait()
            arguments = [f"file://{tmp_path}/bucket", str(tmp_path / "host"), *filter(None, [name])]
            run_python(_OTHER, *arguments)
        finally:
            storage.may_go_on.set()
    assert {file.path for file in store.remembered()} == {b"/mine", b"/other"}
    assert store.recall(b"/mine") == mine
    other = store.recall(b"/other")
    assert other is not None
    assert other.path == b"/other"
    expected = {"first", "stalled", *filter(None, [name])}
    assert {record.name for record in store.names()} == expected
    assert store.resolve(parse_ref("stalled")) == ident
