"""Nothing that reads waits for an upload of a writer: of its own process, or of its host."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from casync.bucket.keys import HEAD_KEY, RUNS, SEGMENTS
from casync.bucket.storage import ObjectStorage
from casync.bucket_stores import open_bucket_store
from casync.names.name import parse_ref
from tests.contract.store_contract import put_manifest
from tests.support.forked import run_python
from tests.support.stalling_storage import StallingStorage, running

_READER = """
import sys
from pathlib import Path
from casync.bucket_stores import open_bucket_store

with open_bucket_store(sys.argv[1], Path(sys.argv[2]), read_only=True) as store:
    print(*(record.name for record in store.names()))
"""


@pytest.mark.parametrize("stalls", [SEGMENTS, RUNS, HEAD_KEY])
def test_readers_see_what_others_commit_while_a_writer_of_their_host_stalls(
    tmp_path: Path, stalls: str
) -> None:
    address, host, other = f"file://{tmp_path}/bucket", tmp_path / "host", tmp_path / "other"
    storage = StallingStorage(tmp_path / "bucket")

    def around(_: ObjectStorage) -> ObjectStorage:
        return storage

    with (
        open_bucket_store(address, host, create=True, around=around) as store,
        open_bucket_store(address, other) as elsewhere,
        closing(storage),
    ):
        put_manifest(store, b"1", "first")
        store._environment.looks_after = elsewhere._environment.looks_after = 0.0
        storage.stalls = stalls
        with running(lambda: put_manifest(store, b"2", "stalled")):
            try:
                storage.wait()
                later = put_manifest(elsewhere, b"3", "later")
                assert store.resolve(parse_ref("later")) == later
                done = run_python(_READER, address, str(host))
                assert done.split() == ["first", "later"]
            finally:
                storage.may_go_on.set()
        assert {record.name for record in elsewhere.names()} == {"first", "later", "stalled"}
        assert [record.name for record in store.names()] == ["first", "later", "stalled"]
