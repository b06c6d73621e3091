"""A real server with hostile requests for deltas."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from casync.ids import ChunkId, Kind, ManifestId, chunk_id
from casync.objects.delta import Delta, Group, unpack_group
from casync.store.lmdb.store import LmdbStore
from casync.wire.frames import Answer, FrameReader, Status
from casync.wire.requests import IDS_TYPE, encode_groups
from tests.support.serving import Server, put_file, serving

SIZE = 16_384
OLD = os.urandom(SIZE * 250)
NEW = b"".join(
    OLD[at : at + 9000] + b"new" + OLD[at + 9003 : at + SIZE] for at in range(0, len(OLD), SIZE)
)
TINY = {"delta_reserve": 0.2, "delta_client_reserve": 0.1, "delta_client_cpu": 0.0}


def ids(data: bytes) -> list[ChunkId]:
    return [chunk_id(data[at : at + SIZE]) for at in range(0, len(data), SIZE)]


def plain(data: bytes, start: int, count: int) -> list[bytes]:
    return [data[at * SIZE : (at + 1) * SIZE] for at in range(start, start + count)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deltas") / "store"
    with LmdbStore.open(path, create=True, map_bytes=2**30) as store:
        for name, data in (("old", OLD), ("new", NEW)):
            put_file(store, data, name=name, size=SIZE)
    return path


@pytest.fixture(scope="module")
def server(store: Path) -> Iterator[Server]:
    with serving(store) as server:
        yield server


def fetch(server: Server, groups: list[Group], kind: Kind = Kind.CHUNK) -> list[Answer]:
    response = httpx.post(
        f"{server.url}/v1/objects/fetch",
        content=encode_groups(kind, groups),
        headers={"content-type": IDS_TYPE},
        timeout=60,
    )
    assert response.status_code == 200, response.text
    reader = FrameReader(kind, groups)
    answers = reader.feed(response.content)
    reader.finish()
    return answers


def test_a_group_comes_as_a_delta_and_is_logged(server: Server) -> None:
    server.mark()
    group = Group(ids(NEW)[:4], ids(OLD)[:4])
    (delta,) = fetch(server, [group])
    assert isinstance(delta, Delta)
    assert len(delta.payload) < 2000
    found = unpack_group(delta, plain(OLD, 0, 4), [SIZE] * 4)
    assert [data for _, data in found] == plain(NEW, 0, 4)
    line = server.wait_for("/v1/objects/fetch")
    assert "objects=4" in line
    assert "deltas=1 saved=" in line


ABSENT = [chunk_id(b"%d" % number) for number in range(4096)]
PLAIN_ANSWERS = {
    "a base that is missing": Group(ids(NEW)[:4], [*ids(OLD)[:3], ABSENT[0]]),
    "only bases that are missing": Group(ids(NEW)[:4], ABSENT),
    "more than a group may have": Group(ids(NEW)[:200], ids(OLD)[:200]),
    "the same base for ever": Group(ids(NEW)[:4], ids(OLD)[:1] * 4096),
    "nothing to win": Group(ids(NEW)[:2], ids(OLD)[100:102]),
}


@pytest.mark.parametrize("case", PLAIN_ANSWERS)
def test_groups_that_cannot_be_deltas_are_sent_plain(server: Server, case: str) -> None:
    group = PLAIN_ANSWERS[case]
    answers = fetch(server, [group, Group(ids(NEW)[5:6])])
    assert not any(isinstance(answer, Delta | Status) for answer in answers)
    assert len(answers) == len(group.wanted) + 1


def test_a_wanted_chunk_may_be_its_own_base(server: Server) -> None:
    wanted = ids(NEW)[:4]
    (delta,) = fetch(server, [Group(wanted, wanted)])
    assert isinstance(delta, Delta)
    assert len(unpack_group(delta, plain(NEW, 0, 4), [SIZE] * 4)) == 4


def test_missing_chunks_of_a_group_are_reported_missing(server: Server) -> None:
    answers = fetch(server, [Group([ABSENT[0], *ids(NEW)[:1]], ids(OLD)[:1])])
    assert answers[0] is Status.MISSING
    assert not isinstance(answers[1], Delta)


def test_a_client_without_cpu_time_left_gets_plain_chunks_and_others_get_deltas(
    store: Path,
) -> None:
    wanted, bases = ids(NEW)[:120], ids(OLD)[:120]
    with serving(store, settings=TINY) as server:
        stop = threading.Event()
        kinds: list[tuple[bool, float]] = []
        failures: list[BaseException] = []

        def attack(group: Group) -> None:
            try:
                while not stop.is_set():
                    answers = fetch(server, [group])
                    kinds.append((isinstance(answers[0], Delta), time.monotonic()))
            except BaseException as error:
                failures.append(error)

        groups = [Group(wanted, bases), Group(wanted, ABSENT), Group(wanted, ids(OLD)[:1] * 4096)]
        threads = [threading.Thread(target=attack, args=(groups[n % 3],)) for n in range(6)]
        for thread in threads:
            thread.start()
        try:
            while len(kinds) < 60 and not failures:
                assert httpx.get(f"{server.url}/healthz", timeout=60).text == "ok\n"
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not failures
        # The CPU time is used up: further answers are plain, and still complete.
        assert not any(isinstance(answer, Delta) for answer in fetch(server, groups[:1]))
        assert sum(is_delta for is_delta, _ in kinds) < len(kinds) / 2
        with httpx.Client(timeout=60) as client:
            manifest = client.get(
                f"{server.url}/v1/manifests/new", headers={"accept": "application/json"}
            ).json()["hash"]
            assert client.get(f"{server.url}/v1/files/{manifest}").content == NEW
        assert ManifestId(bytes.fromhex(manifest))
