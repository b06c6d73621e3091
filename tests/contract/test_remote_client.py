from __future__ import annotations

from collections.abc import Iterator

import pytest

from casync.remote.client import RemoteClient
from casync.store.base import ManifestSource, ObjectStore
from casync.store.memory import MemoryStore
from tests.contract.store_contract import SourceContract
from tests.peer import Peer


class TestRemoteClient(SourceContract):
    @pytest.fixture
    def store(self) -> ObjectStore:
        return MemoryStore()

    @pytest.fixture
    def source(self, store: ObjectStore) -> Iterator[ManifestSource]:
        with Peer(store) as peer, RemoteClient(peer.url) as client:
            yield client
