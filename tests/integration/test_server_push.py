"""Pushing over HTTP: what is kept, what is refused, and hostile clients."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from casync_server.app import create_app
from casync_server.settings import ServerSettings
from fastapi import FastAPI

from casync.ids import Kind, ManifestId, chunk_id
from casync.names.name import NameRecord, parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.objects.codec import Codec, Packed, Verified
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.ops.upkeep.verify import verify
from casync.remote.server.write_client import WritingClient
from casync.store.base import Batch, ManifestState
from casync.store.lmdb.store import LmdbStore
from casync.wire.documents import ManifestItem, NameItem, Problem, decode_document, missing_keys
from casync.wire.edits import ProvingItem, PushItem, TakenItem
from casync.wire.requests import IDS_TYPE, SIZES_TYPE, decode_sizes, encode_ids
from casync.wire.uploads import MAX_UPLOAD_BYTES, OBJECTS_TYPE, encode_upload
from tests.contract.store_contract import noise, pack
from tests.support.server_clients import QUICK, closes_within, healthy, request
from tests.support.server_world import problem
from tests.support.serving import READY_SECONDS, Server, ask, read_answer, serving
from tests.support.small_store import content

pytestmark = pytest.mark.stores("lmdb")

OBJECTS = {"content-type": OBJECTS_TYPE}
NO_PUSH = "0" * 32


def app_of(store: LmdbStore, **settings: float) -> FastAPI:
    settings = {"disk_spare": 0} | settings
    return create_app(
        store, ServerSettings.model_validate(settings), writable=store, sink=lambda _: None
    )


@pytest.fixture
def app(store: LmdbStore) -> FastAPI:
    return app_of(store)


def opened(app: FastAPI) -> str:
    response = ask(app, "POST", "/v1/pushes")
    return decode_document(response.content, PushItem).push


def send(app: FastAPI, push: str, body: bytes) -> httpx.Response:
    return ask(app, "POST", f"/v1/objects?push={push}", content=body, headers=OBJECTS)


def upload(*objects: Packed) -> bytes:
    return b"".join(encode_upload(objects))


def taken(response: httpx.Response) -> TakenItem:
    assert response.status_code == 200, response.text
    return decode_document(response.content, TakenItem)


def whole(size: int = 4000) -> tuple[ManifestId, list[Verified], int]:
    plains = [noise(size + n, n) for n in range(300)]
    ident, packed = content(plains)
    return ident, packed, sum(map(len, plains))


def test_a_push_from_beginning_to_end(app: FastAPI, store: LmdbStore) -> None:
    ident, packed, length = whole()
    push = opened(app)
    url = f"/v1/manifests/{ident.hex()}?push={push}"
    lacking = problem(ask(app, "PUT", url), 409, "incomplete")
    assert missing_keys(lacking.missing) == [(Kind.MANIFEST, ident)]
    assert taken(send(app, push, upload(*packed))) == TakenItem(len(packed), 0, [])
    assert taken(send(app, push, upload(*packed))) == TakenItem(0, len(packed), [])
    assert collect(store, CollectOptions(0)).objects == 0
    assert list(store.manifests()) == []
    item = decode_document(ask(app, "PUT", url).content, ManifestItem)
    assert (item.hash, item.length) == (ident.hex(), length)
    assert ask(app, "PUT", url).status_code == 200  # its answer was lost
    row = store.manifest(ident)
    assert row is not None
    assert row.state is ManifestState.FULL
    problem(send(app, push, upload(*packed)), 404, "not-found")


def test_what_is_removed_while_it_is_named_is_published_from_the_push(
    app: FastAPI, store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ident, packed, length = whole()
    store.commit(Batch(objects=packed, manifests=[(ident, ManifestState.FULL, length)]))
    push = opened(app)
    send(app, push, upload(*packed))
    set_name = LmdbStore.set_name

    def late(self: LmdbStore, update: NameUpdate) -> NameRecord:
        monkeypatch.undo()
        self.remove([parse_ref(ident.hex())])
        collect(self, CollectOptions(0))
        return set_name(self, update)

    monkeypatch.setattr(LmdbStore, "set_name", late)
    url = f"/v1/names/disk?push={push}"
    named = ask(app, "PUT", url, json={"manifest": ident.hex()})
    assert decode_document(named.content, NameItem).version == 1


def test_missing_objects_are_listed(app: FastAPI) -> None:
    ident, packed, _ = whole()
    push = opened(app)
    lost = [item for item in packed if item.kind is Kind.CHUNK][::50]
    send(app, push, upload(*(item for item in packed if item not in lost)))
    url = f"/v1/names/disk?push={push}"
    lacking = problem(ask(app, "PUT", url, json={"manifest": ident.hex()}), 409, "incomplete")
    assert set(missing_keys(lacking.missing)) == {(item.kind, item.id) for item in lost}
    send(app, push, upload(*lost))
    named = ask(app, "PUT", url, json={"manifest": ident.hex()})
    assert decode_document(named.content, NameItem).version == 1


def test_objects_found_by_stat_are_kept_for_the_push(
    app: FastAPI, store: LmdbStore, tmp_path: Path
) -> None:
    loose = [pack(noise(1000, n)) for n in range(20)]
    with LmdbStore.open(tmp_path / "store2", create=True) as other:
        other.commit(Batch(objects=loose))
    with LmdbStore.open(tmp_path / "store2") as other:
        promising = app_of(other)
        collect(other, CollectOptions(0, dry_run=True))
        push = opened(promising)
        body = encode_ids(Kind.CHUNK, [*(item.id for item in loose), chunk_id(b"absent")])
        url = f"/v1/objects/stat?push={push}"
        response = ask(promising, "POST", url, content=body, headers={"content-type": IDS_TYPE})
        assert response.headers["content-type"] == SIZES_TYPE
        rows = decode_sizes(Kind.CHUNK, 21, response.content)
        assert rows == [*((item.length, len(item.payload)) for item in loose), None]
        collect(other, CollectOptions(0))
        assert collect(other, CollectOptions(0)).objects == 0
    problem(ask(app, "POST", f"/v1/objects/stat?push={NO_PUSH}", content=body), 415, "usage")
    headers = {"content-type": IDS_TYPE}
    url = f"/v1/objects/stat?push={NO_PUSH}"
    problem(ask(app, "POST", url, content=body, headers=headers), 404, "not-found")


def test_a_large_proof_takes_several_requests(store: LmdbStore) -> None:
    ident, packed, _ = whole()
    patient, hasty = app_of(store), app_of(store, prove_seconds=0)
    push = opened(patient)
    send(patient, push, upload(*packed))
    for url, body in (
        (f"/v1/manifests/{ident.hex()}?push={push}", None),
        ("/v1/names/disk", {"manifest": ident.hex()}),
    ):
        counts = []
        while (response := ask(hasty, "PUT", url, json=body)).status_code == 202:
            counts.append(decode_document(response.content, ProvingItem).checked)
        assert response.status_code == 200
        assert counts == sorted(counts)
        assert counts or body
    assert len(store.history(parse_name("disk"))) == 1


# -- What is wrong --------------------------------------------------------------------------------


def test_wrong_bytes_are_refused_and_the_others_kept(app: FastAPI, store: LmdbStore) -> None:
    good = [pack(noise(1000, n)) for n in range(5)]
    zipped = pack(bytes(5000))
    liars = [
        Packed(*good[0])._replace(id=chunk_id(b"another")),
        Packed(*zipped)._replace(id=chunk_id(b"another one")),
        Packed(*good[1])._replace(kind=Kind.NODE),
        Packed(Kind.CHUNK, chunk_id(b"x" * 300), Codec.ZSTD, 300, zipped.payload),
    ]
    mixed = [good[2], liars[0], liars[1], good[3], liars[2], liars[3], good[4]]
    done = taken(send(app, opened(app), upload(*mixed)))
    assert (done.taken, done.known) == (3, 0)
    assert {(item.kind, item.id) for item in done.refused} == {
        (liar.kind, liar.id.hex()) for liar in liars
    }
    for liar in liars:
        assert store.stat(liar.kind, [liar.id]) == [None]
    assert None not in store.stat(Kind.CHUNK, [item.id for item in good[2:]])


def test_a_frame_that_decodes_to_more_is_refused(app: FastAPI) -> None:
    payload = bytearray(pack(bytes(5000)).payload)
    assert payload[4] & 0xE0 == 0x60  # a two-byte content size, which is stored minus 256
    payload[5:7] = struct.pack("<H", 1000 - 256)
    liar = Packed(Kind.CHUNK, chunk_id(bytes(1000)), Codec.ZSTD, 1000, bytes(payload))
    assert len(taken(send(app, opened(app), upload(liar))).refused) == 1


@pytest.mark.parametrize(
    "body", [b"", b"x", bytes(40) + b"x", upload(pack(b"1"))[:-1], b"\x09" * 40, bytes(39)]
)
def test_malformed_bodies_are_refused(app: FastAPI, body: bytes) -> None:
    push = opened(app)
    problem(send(app, push, body), 400, "usage")
    problem(ask(app, "POST", f"/v1/objects?push={push}", content=body), 415, "usage")


def test_objects_before_a_fault_are_kept(app: FastAPI, store: LmdbStore) -> None:
    packed = pack(b"before")
    problem(send(app, opened(app), upload(packed)[:-40] + b"\xff" * 40), 400, "usage")
    assert None not in store.stat(Kind.CHUNK, [packed.id])


@pytest.mark.parametrize("push", ["", "x", "0" * 31, "0" * 33, "A" * 32, "%00" * 32])
def test_invalid_pushes_are_refused(app: FastAPI, push: str) -> None:
    problem(send(app, push, upload()), 422, "usage")


def test_a_push_that_was_never_opened(app: FastAPI, store: LmdbStore) -> None:
    packed = pack(b"for nobody")
    problem(send(app, NO_PUSH, upload(packed)), 404, "not-found")
    assert store.stat(Kind.CHUNK, [packed.id]) == [None]
    ident, _, _ = whole()
    problem(ask(app, "PUT", f"/v1/manifests/{ident.hex()}?push={NO_PUSH}"), 404, "not-found")


def test_inconsistent_content_is_not_published(app: FastAPI, store: LmdbStore) -> None:
    node = pack(b"no node at all", Kind.NODE)
    ident, packed, _ = whole()
    manifest = next(item for item in packed if item.kind is Kind.MANIFEST)
    assert manifest.codec is Codec.RAW
    broken = pack(
        bytes(manifest.payload).replace(
            next(i.id for i in packed[::-1] if i.kind is Kind.NODE), node.id
        ),
        Kind.MANIFEST,
    )
    assert broken.id != ident
    push = opened(app)
    taken(send(app, push, upload(node, broken, *packed)))
    problem(ask(app, "PUT", f"/v1/manifests/{broken.id.hex()}?push={push}"), 400, "usage")
    assert list(store.manifests()) == []


def test_a_full_disk_refuses_objects_and_allows_removal(
    store: LmdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of(store, disk_spare=1 << 20)
    ident, packed, length = whole(20_000)
    first = store.pushes.begin()
    store.pushes.put(first, packed, spare=0)
    store.pushes.publish(first, NameUpdate(parse_name("disk"), ident), length)
    push = opened(app)
    real = os.statvfs(store.path)
    room = SimpleNamespace(f_frsize=4096, f_blocks=real.f_blocks, f_bavail=0)
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    refused = problem(send(app, push, upload(pack(noise(9000)))), 507, "no-space")
    assert str(store.path) not in refused.detail
    problem(send(app, push, b""), 507, "no-space")  # the push was given up
    assert ask(app, "DELETE", "/v1/names/disk").status_code == 200
    assert collect(store, CollectOptions(0)).objects == len(packed)
    push = opened(app)
    assert taken(send(app, push, upload(pack(noise(9000))))).taken == 1  # into pages that are free
    room.f_bavail = real.f_blocks
    assert taken(send(app, push, upload(packed[0]))).taken == 1


# -- The server as a process ----------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "served", QUICK, writable=True) as server:
        yield server


def begun(server: Server) -> str:
    with WritingClient(server.url) as client:
        return client.begin_push()


def posted(server: Server, push: str, length: int | str, body: bytes = b"") -> bytes:
    coding = (
        f"Content-Length: {length}" if isinstance(length, int) else "Transfer-Encoding: chunked"
    )
    return request(
        server,
        f"POST /v1/objects?push={push} HTTP/1.1\r\nHost: HOST\r\n"
        f"Content-Type: {OBJECTS_TYPE}\r\n{coding}\r\n\r\n",
        body,
    )


def test_a_body_that_trickles_is_refused(server: Server) -> None:
    push = begun(server)
    with server.connect() as sock:
        sock.sendall(posted(server, push, 50_000_000, upload(pack(noise(9000)))[:5000]))
        healthy(server)
        assert closes_within(sock, 60).startswith(b"HTTP/1.1 408 ")
    healthy(server)


def test_a_body_that_is_too_long_is_not_read(server: Server) -> None:
    push = begun(server)
    with server.connect() as sock:
        sock.sendall(posted(server, push, MAX_UPLOAD_BYTES + 1))
        assert read_answer(sock)[0] == 413
    with server.connect() as sock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(posted(server, push, "chunked"))
        piece = b"%x\r\n%b\r\n" % (1 << 20, bytes([1]) * (1 << 20))
        for _ in range(80):
            sock.sendall(piece)
    healthy(server)


def test_objects_sent_before_a_disconnect_are_kept(server: Server, tmp_path: Path) -> None:
    """A disconnect at every kind of place: exactly the complete and valid objects are kept."""
    packed = [pack(noise(3000, n)) for n in range(10)]
    body = upload(*packed)
    ids = [item.id for item in packed]
    with WritingClient(server.url) as client:
        for end in range(100, len(body), 2711):
            push = client.begin_push()
            with server.connect() as sock:
                sock.sendall(posted(server, push, len(body), body[:end]))
        push = client.begin_push()
        assert client.send(push, [Packed(*item) for item in packed], str) == []
        assert None not in client.promise(push, Kind.CHUNK, ids)
    assert server.stop() == 0
    with LmdbStore.open(tmp_path / "served") as store:
        assert list(store.get(Kind.CHUNK, ids)) == [Packed(*item) for item in packed]
        assert len(list(store.objects(Kind.CHUNK))) == 10


def test_excess_bodies_wait_for_a_slot(tmp_path: Path) -> None:
    limits = {"push_bodies": 1, "push_wait": 5.0, "stall_seconds": 60.0}
    with serving(tmp_path / "served", limits, writable=True) as server:
        push = begun(server)
        body = upload(pack(b"small"))
        with server.connect() as first, server.connect() as second:
            first.sendall(posted(server, push, len(body), body[:-1]))
            status = 200
            deadline = time.monotonic() + READY_SECONDS
            while status == 200:  # until the first one is being received
                second.sendall(posted(server, push, len(body), body))
                status, _, answer = read_answer(second)
                assert time.monotonic() < deadline
            assert (status, decode_document(answer, Problem).code) == (503, "unreachable")
            first.sendall(body[-1:])
            assert read_answer(first)[0] == 200


def test_many_pushers_of_the_same(tmp_path: Path) -> None:
    """The same objects from many clients, to two workers, during collections."""
    ident, packed, _ = whole()
    objects = [Packed(*item) for item in packed if item.kind is Kind.CHUNK]
    rest = [Packed(*item) for item in packed if item.kind is not Kind.CHUNK]
    with serving(tmp_path / "served", writable=True, workers=2) as server:

        def push(number: int) -> int:
            with WritingClient(server.url) as client:
                session = client.begin_push()
                for at in range(0, len(objects), 40):
                    assert client.send(session, objects[at : at + 40], str) == []
                for item in rest:
                    assert client.send(session, [item], str) == []
                record = client.publish(session, NameUpdate(parse_name(f"by/{number}"), ident))
                assert record is not None
                return record.version

        with LmdbStore.open(tmp_path / "served") as store, ThreadPoolExecutor(8) as pool:
            pushing = pool.map(push, range(8))
            for _ in range(10):
                collect(store, CollectOptions(0))
            assert list(pushing) == [1] * 8
            collect(store, CollectOptions(0))
            assert verify(store).faults == []
            assert [record.manifest for record in store.names()] == [ident] * 8
