"""Nothing that reads waits for an upload of a writer: of its own process, or of its host."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from casync.bucket.keys import HEAD_KEY, RUNS, SEGMENTS
from casync.bucket.storage import ObjectStorage, Tag
from casync.bucket_stores import open_bucket_store
from casync.names.name import parse_ref
from casync.remote.storages.folder import FolderStorage
from tests.contract.store_contract import put_manifest
from tests.support.forked import run_python

_READER = """
import sys
from pathlib import Path
from casync.bucket_stores import open_bucket_store

with open_bucket_store(sys.argv[1], Path(sys.argv[2]), read_only=True) as store:
    print(*(record.name for record in store.names()))
"""
_WAIT_SECONDS = 300.0


class Stalling(FolderStorage):
    """A storage where the write of one key takes as long as the test wants."""

    stalls = ""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_writing, self.may_go_on = threading.Event(), threading.Event()

    def put(self, key: str, data: bytes | BinaryIO) -> None:
        self._stall(key)
        super().put(key, data)

    def swap(self, key: str, data: bytes, tag: Tag) -> Tag | None:
        self._stall(key)
        return super().swap(key, data, tag)

    def _stall(self, key: str) -> None:
        if self.stalls and key.startswith(self.stalls):
            self.stalls = ""
            self.is_writing.set()
            assert self.may_go_on.wait(_WAIT_SECONDS)


@contextmanager
def running(action: Callable[[], object]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=action)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


@pytest.mark.parametrize("stalls", [SEGMENTS, RUNS, HEAD_KEY])
def test_readers_see_what_others_commit_while_a_writer_of_their_host_stalls(
    tmp_path: Path, stalls: str
) -> None:
    address, host, other = f"file://{tmp_path}/bucket", tmp_path / "host", tmp_path / "other"
    storage = Stalling(tmp_path / "bucket")

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
                assert storage.is_writing.wait(_WAIT_SECONDS)
                later = put_manifest(elsewhere, b"3", "later")
                assert store.resolve(parse_ref("later")) == later
                done = run_python(_READER, address, str(host))
                assert done.split() == ["first", "later"]
            finally:
                storage.may_go_on.set()
        assert {record.name for record in elsewhere.names()} == {"first", "later", "stalled"}
        assert [record.name for record in store.names()] == ["first", "later", "stalled"]
