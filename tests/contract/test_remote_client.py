from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.ids import Kind
from casync.limits import MIB
from casync.objects.codec import Packed
from casync.remote.server.client import RemoteClient
from casync.store.base import Batch, ManifestSource, ObjectStore
from casync.store.lmdb.store import LmdbStore
from casync.store.memory import MemoryStore
from tests.contract.store_contract import SourceContract, ids_of, pack
from tests.support.peer import Peer
from tests.support.serving import Server, serving


class TestRemoteClient(SourceContract):
    """The client against the independent peer of the tests."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()

    @pytest.fixture
    def source(self, store: ObjectStore) -> Iterator[ManifestSource]:
        with Peer(store) as peer, RemoteClient(peer.url) as client:
            yield client


class TestRemoteClientAndServer(SourceContract):
    """The client against our server in another process."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[ObjectStore]:
        with LmdbStore.open(tmp_path / "store", create=True) as store:
            yield store

    @pytest.fixture
    def server(self, store: ObjectStore, tmp_path: Path) -> Iterator[Server]:
        with serving(tmp_path / "store") as server:
            yield server

    @pytest.fixture
    def source(self, server: Server) -> Iterator[ManifestSource]:
        with RemoteClient(server.url) as client:
            yield client

    def test_more_objects_than_fit_one_answer(
        self, store: ObjectStore, source: ManifestSource
    ) -> None:
        packed = [pack(bytes([number]) * (14 * MIB)) for number in range(12)]
        store.commit(Batch(objects=packed))
        assert list(source.get(Kind.CHUNK, ids_of(packed))) == [Packed(*item) for item in packed]

    def test_a_server_tells_its_store_and_version(self, store: ObjectStore, server: Server) -> None:
        assert isinstance(store, LmdbStore)
        with RemoteClient(server.url) as client:
            info = client.info()
        assert (info.api, info.store) == (1, store.store_id)
        assert info.program.startswith("casync")
