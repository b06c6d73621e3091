"""A client that changes a store through a server, against the contracts of that store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from casync_server.app import create_app
from casync_server.settings import ServerSettings

from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import NameRecord
from casync.names.name_update import NameUpdate
from casync.objects.codec import Packed, Verified
from casync.remote.server.write_client import WritingClient
from casync.store.base import Committed, ObjectStat
from casync.store.memory import MemoryStore
from casync.store.push import OpenPush, Pushes
from casync.store.writable import Editable
from tests.contract.editable_contract import EditableContract
from tests.contract.push_contract import PushContract, PushesOf
from tests.contract.whole_store import Clock, Reopen, WholeStore
from tests.support.serving import serving_here


class RemotePushes:
    """The pushes of a server as a store has them."""

    def __init__(self, target: WritingClient, store: WholeStore) -> None:
        self._target = target
        self._store = store

    def begin(self) -> bytes:
        return bytes.fromhex(self._target.begin_push())

    def promise(self, push: bytes, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        return self._target.promise(push.hex(), kind, ids)

    def put(self, push: bytes, objects: Sequence[Verified], *, spare: int) -> Committed:
        new: list[Packed] = []
        for kind in Kind:
            packed = [Packed(*item) for item in objects if item.kind is kind]
            stats = self.promise(push, kind, [item.id for item in packed]) if packed else []
            lacking = [item for item, stat in zip(packed, stats, strict=True) if stat is None]
            assert not lacking or self._target.send(push.hex(), lacking, str) == []
            new += lacking
        return Committed(len(new), sum(len(item.payload) for item in new), [])

    def publish(self, push: bytes, what: ManifestId | NameUpdate, length: int) -> NameRecord | None:
        return self._target.publish(push.hex(), what)

    def end(self, push: bytes) -> None:
        self._target.end_push(push.hex())

    def open(self) -> list[OpenPush]:
        return self._target.open_pushes()

    def check_room(self, push: bytes, need: int, *, spare: int) -> None:
        self._store.pushes.check_room(push, need, spare=spare)


class TestWritingClient(EditableContract, PushContract):
    """The client against our server over a store in memory."""

    @pytest.fixture
    def store(self, clock: Clock) -> MemoryStore:
        return MemoryStore(clock=clock)

    @pytest.fixture
    def reopen(self, store: MemoryStore) -> Reopen:
        def again() -> WholeStore:
            store.close()
            return store

        return again

    @pytest.fixture
    def client(self, store: MemoryStore) -> Iterator[WritingClient]:
        app = create_app(store, ServerSettings(), writable=store, sink=lambda _: None)
        with serving_here(app) as url, WritingClient(url) as client:
            yield client

    @pytest.fixture
    def place(self, client: WritingClient) -> Editable:
        return client

    @pytest.fixture
    def pushes_of(self, client: WritingClient) -> PushesOf:
        def pushes_of(store: WholeStore) -> Pushes:
            return RemotePushes(client, store)

        return pushes_of
