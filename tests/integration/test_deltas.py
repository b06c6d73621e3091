"""Deltas between the real client and a peer that shares no code with our server."""

from __future__ import annotations

import os
import random
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from casync.access.endpoints import Endpoints
from casync.errors import IntegrityError, RemoteProtocolError
from casync.ids import ManifestId
from casync.limits import MIB
from casync.names.name import Ref
from casync.ops.pull.file import Pulled
from casync.ops.pull.wanted import PullOptions
from casync.store.memory import MemoryStore
from tests.support import peer as p
from tests.support import wire
from tests.support.peer import Fault, Peer, Seen, breaks_off, edits, sends
from tests.support.proving_client import connect
from tests.support.pulling import noise, pull_file, put
from tests.support.wire import frame


def edited(data: bytes) -> bytes:
    """Small changes throughout, and some insertions."""
    chance = random.Random(7)
    out = bytearray(data)
    for _ in range(30):
        at = chance.randrange(len(out))
        out[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(8))
    return bytes(out)


OLD = noise(1, 400_000)
NEW = edited(OLD)


class Updating:
    """A server with two versions, and a client that pulled the first one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.served, self.store = MemoryStore(), MemoryStore()
        self.old = put(self.served, OLD)
        self.new = put(self.served, NEW)
        with Peer(self.served) as peer:
            self.pull(peer, self.old)

    def pull(self, peer: Peer, ident: ManifestId, **options: object) -> Pulled:
        with connect(peer, retry_for=60.0) as client:
            endpoints = Endpoints(self.store, True, [self.store], [client])
            options = {"delta": "always", **options}
            return pull_file(
                Ref(manifest=ident),
                self.folder / "out",
                endpoints,
                PullOptions(**options),  # type: ignore[arg-type]
            )

    @property
    def result(self) -> bytes:
        return (self.folder / "out").read_bytes()


@pytest.fixture
def world(tmp_path: Path) -> Updating:
    return Updating(tmp_path)


@pytest.fixture
def peer(world: Updating) -> Iterator[Peer]:
    with Peer(world.served, deltas=True) as peer:
        yield peer


def test_small_changes_transfer_few_bytes(world: Updating, peer: Peer) -> None:
    pulled = world.pull(peer, world.new)
    assert world.result == NEW
    traffic = pulled.traffic
    assert 0 < traffic.delta_bytes < 10_000
    assert traffic.delta_plain > 20_000
    assert traffic.received < 20_000


def test_a_target_overwritten_in_place_is_a_base_for_deltas(world: Updating, peer: Peer) -> None:
    flat = bytearray(OLD)
    for at in range(5_000, len(OLD), 20_000):
        flat[at : at + 3] = b"new"
    pulled = world.pull(peer, put(world.served, bytes(flat)), in_place=True)
    assert world.result == flat
    assert 0 < pulled.traffic.delta_bytes < 5_000 < pulled.traffic.delta_plain
    assert world.pull(peer, world.new, in_place=True).traffic.delta_bytes
    assert world.result == NEW


def test_a_changed_seed_is_not_used_as_a_base(world: Updating, peer: Peer) -> None:
    target = world.folder / "out"
    seed = world.folder / "seed"
    target.rename(seed)
    world.pull(peer, world.old)
    before = seed.stat()
    changed = bytearray(OLD)
    changed[1000:300_000] = noise(9, 299_000)
    seed.write_bytes(changed)
    os.utime(seed, ns=(before.st_atime_ns, before.st_mtime_ns))
    target.unlink()
    world.pull(peer, world.new, seeds=(seed,))
    assert world.result == NEW


def test_never_requests_no_deltas(world: Updating, peer: Peer) -> None:
    pulled = world.pull(peer, world.new, delta="never")
    assert world.result == NEW
    assert pulled.traffic.delta_bytes == 0
    assert not any(seen.body[6:7] == b"\1" for seen in peer.seen)


def test_a_server_without_groups_is_asked_for_them_once(world: Updating) -> None:
    with Peer(world.served) as peer:
        pulled = world.pull(peer, world.new)
        assert [seen.body[6:7] for seen in peer.seen].count(b"\1") == 1
    assert world.result == NEW
    assert pulled.traffic.delta_bytes == 0


@pytest.mark.parametrize("status", [400, 413, 501])
def test_any_refusal_of_groups_falls_back_to_plain_chunks(world: Updating, status: int) -> None:
    refusal = p.problem(status, "usage" if status < 500 else "unsupported", "no groups here")

    def fault(seen: Seen) -> Fault | None:
        return sends(refusal) if seen.body[6:7] == b"\1" else None

    with Peer(world.served, fault, deltas=True) as peer:
        world.pull(peer, world.new)
    assert world.result == NEW


def test_chunks_from_deltas_are_packed_again_for_the_store(world: Updating, peer: Peer) -> None:
    world.pull(peer, world.new, cache=True)
    alone = Endpoints(world.store, True, [world.store], [])
    pull_file(Ref(manifest=world.new), world.folder / "again", alone, PullOptions())
    assert (world.folder / "again").read_bytes() == NEW


Edit = Callable[[bytes], bytes]
WORDS = zstandard.train_dictionary(1024, [OLD[at : at + 200] for at in range(0, 50_000, 50)])


def undo(payload: bytes) -> int:
    return zstandard.frame_content_size(payload)


def noisy(payload: bytes) -> bytes:
    return zstandard.compress(noise(5, undo(payload)))


LIES: dict[str, Edit] = {
    "wrong bytes": noisy,
    "too short": lambda old: zstandard.compress(bytes(undo(old) - 1)),
    "too long": lambda old: zstandard.compress(bytes(undo(old) + 1)),
    "dictionary": lambda old: zstandard.ZstdCompressor(dict_data=WORDS).compress(bytes(undo(old))),
    "two frames": lambda old: old + zstandard.compress(b"x"),
    "trailing byte": lambda old: old + b"\0",
    "cut": lambda old: old[: len(old) // 2],
    "flipped": lambda old: old[:9] + bytes([old[9] ^ 1]) + old[10:],
}


def on_deltas(edit: Edit) -> Callable[[Seen], Fault | None]:
    def frames(honest: list[bytes]) -> Iterator[bytes]:
        for one in honest:
            if one[0] == wire.DELTA:
                count = int.from_bytes(one[2:4], "little")
                yield frame(wire.DELTA, edit(one[8:]), codec=1, count=count)
            else:
                yield one

    return lambda seen: edits(frames)


@pytest.mark.parametrize("lie", LIES)
def test_a_wrong_delta_is_fetched_again_as_plain_chunks(world: Updating, lie: str) -> None:
    with Peer(world.served, on_deltas(LIES[lie]), deltas=True) as peer:
        world.pull(peer, world.new)
    assert world.result == NEW


BOMB = zstandard.compress(bytes(512 * MIB))
GROSS: dict[str, Edit] = {
    "no zstd": lambda old: b"no zstd frame",
    "no size": lambda old: zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 99),
    "bomb": lambda old: BOMB,
    "forged": lambda old: b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**40) + b"\1\0\0",
    "empty": lambda old: b"",
}


@pytest.mark.parametrize("lie", GROSS)
def test_a_delta_against_the_protocol_is_an_error(world: Updating, lie: str) -> None:
    tracemalloc.start()  # also counts output buffers of zstd
    try:
        with (
            Peer(world.served, on_deltas(GROSS[lie]), deltas=True) as peer,
            pytest.raises((RemoteProtocolError, IntegrityError)),
        ):
            world.pull(peer, world.new)
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()
    assert world.result == OLD


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_truncated_answer_is_requested_again(world: Updating, share: float) -> None:
    broken: list[int] = []

    def fault(seen: Seen) -> Fault | None:
        if seen.body[6:7] == b"\1" and len(broken) < 3:
            broken.append(seen.number)
            return breaks_off(share)
        return None

    with Peer(world.served, fault, deltas=True) as peer, connect(peer, retry_for=60.0) as client:
        endpoints = Endpoints(world.store, True, [world.store], [client])
        options = PullOptions(delta="always")
        pull_file(Ref(manifest=world.new), world.folder / "out", endpoints, options)
    assert broken
    assert world.result == NEW


def test_another_server_replaces_one_that_lies(world: Updating, peer: Peer) -> None:
    with (
        Peer(world.served, on_deltas(noisy), deltas=True) as liar,
        connect(liar, retry_for=60.0) as first,
        connect(peer, retry_for=60.0) as second,
    ):
        endpoints = Endpoints(world.store, True, [world.store], [first, second])
        pull_file(
            Ref(manifest=world.new), world.folder / "out", endpoints, PullOptions(delta="always")
        )
    assert world.result == NEW


def test_a_server_without_the_old_version_sends_chunks(world: Updating) -> None:
    served = MemoryStore()
    put(served, NEW)
    with Peer(served, deltas=True) as peer:
        world.pull(peer, world.new)
    assert world.result == NEW
