"""Pushing to a target that forgets, loses objects, and asks for objects outside the push."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from casync.access.naming import Publisher
from casync.errors import (
    DamagedObjectError,
    IncompleteError,
    LostRaceError,
    NoNameError,
    NoSpaceError,
    NotFoundError,
    UsageError,
)
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import Name, NameRecord, parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.names.signing import SigningKey, check_signed
from casync.objects.codec import Packed, Unpacker, Verified
from casync.ops.push.proof import Proof
from casync.ops.push.push import PushOptions, plan_push, push
from casync.ops.push.reachable import Part
from casync.ops.trust import signing
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.base import Batch, ManifestRow, ManifestState, ObjectStat, Traffic
from casync.store.lmdb.store import LmdbStore
from casync.store.memory import MemoryStore
from tests.contract.store_contract import noise, pack
from tests.support.small_store import content

PLAINS = [noise(2000 + n, n) for n in range(1500)]
NAME = parse_name("disk")


class Target:
    """A server in this process, over a real store. Faults are attributes that a test sets."""

    origin = "here"
    traffic = Traffic(0, 0, 0)

    def __init__(self, store: LmdbStore) -> None:
        self.store = store
        self.sent: list[ObjectId] = []
        self.pushes = 0
        self.closed = False
        self.ends_after: int | None = None
        self.loses: set[ObjectId] = set()
        self.asks_for: list[tuple[int, bytes]] = []
        self.full = False

    def manifest(self, ident: ManifestId) -> ManifestRow | None:
        return self.store.manifest(ident)

    def stat(self, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        return self.store.stat(kind, ids)

    def begin_push(self) -> str:
        self.pushes += 1
        return self.store.pushes.begin().hex()

    def end_push(self, push: str) -> None:
        self.store.pushes.end(bytes.fromhex(push))

    def promise(self, push: str, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        return self.store.pushes.promise(bytes.fromhex(push), kind, ids)

    def send(
        self, push: str, objects: Sequence[Packed], sent: Callable[[int], object]
    ) -> list[ObjectId]:
        if self.full:
            raise NoSpaceError("the server has no room left")
        if self.ends_after is not None:
            self.ends_after -= 1
            if not self.ends_after:
                self.store.pushes.end(bytes.fromhex(push))
        unpacker, refused, good = Unpacker(), [], []
        for packed in objects:
            try:
                good.append(unpacker.verify(packed)[0])
            except DamagedObjectError:
                refused.append(packed.id)
        self.sent += [item.id for item in good]
        kept = [item for item in good if item.id not in self.loses]
        self.store.pushes.put(bytes.fromhex(push), kept, spare=0)
        return refused

    def upcoming(self, name: Name) -> tuple[int, NameRecord | None]:
        return self.store.upcoming(name)

    def publish(self, push: str, what: ManifestId | NameUpdate) -> NameRecord | None:
        if not push:
            assert isinstance(what, NameUpdate)
            return self.store.set_name(what)
        manifest = what.manifest if isinstance(what, NameUpdate) else what
        session = bytes.fromhex(push)
        proof = Proof(manifest, self.store, lambda k, i: self.store.pushes.promise(session, k, i))
        for _ in proof.steps():
            pass
        missing = [*proof.missing, *self.asks_for]
        if missing:
            raise IncompleteError("not all of it is here", missing=missing)
        return self.store.pushes.publish(session, what, proof.length)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        yield Target(store)


def source_of(packed: list[Verified], ident: ManifestId, name: str = "disk") -> MemoryStore:
    store = MemoryStore()
    row = (ident, ManifestState.FULL, sum(map(len, PLAINS)))
    store.commit(
        Batch(objects=packed, manifests=[row], names=[NameUpdate(parse_name(name), ident)])
    )
    return store


IDENT, PACKED = content(PLAINS)
REF = parse_ref("disk")


@pytest.fixture
def source() -> MemoryStore:
    return source_of(PACKED, IDENT)


def test_everything_arrives_once(source: MemoryStore, target: Target) -> None:
    plan = plan_push(REF, source, target)
    assert target.sent == []
    pushed = push(REF, source, target, PushOptions(name=NAME))
    assert pushed.name is not None
    assert (pushed.name.name, pushed.name.manifest, pushed.published) == ("disk", IDENT, True)
    assert sorted(target.sent) == sorted({item.id for item in PACKED})
    assert (plan.new, plan.payload) == (pushed.new, pushed.payload)
    assert pushed.new == len(target.sent)
    assert pushed.payload == sum(len(item.payload) for item in PACKED)
    again = push(REF, source, target, PushOptions(name=NAME))
    assert (again.new, again.name) == (0, pushed.name)
    assert target.pushes == 1
    assert plan_push(REF, source, target).new == 0


def test_only_what_differs_is_sent(source: MemoryStore, target: Target) -> None:
    push(REF, source, target)
    other, packed = content([*PLAINS[:700], b"another", *PLAINS[701:]])
    target.sent.clear()
    pushed = push(parse_ref("other"), source_of(packed, other, "other"), target)
    assert pushed.new == len(target.sent) < 10
    assert target.store.manifest(other) is not None


@pytest.mark.parametrize("shares", [2, 3])
def test_parts_and_then_the_rest(source: MemoryStore, target: Target, shares: int) -> None:
    for number in range(1, shares + 1):
        done = push(REF, source, target, PushOptions(part=Part(number, shares)))
        assert not done.published
        assert target.store.manifest(IDENT) is None
    assert sorted(target.sent) == sorted({item.id for item in PACKED})
    assert push(REF, source, target, PushOptions(name=NAME)).new == 0
    assert target.store.manifest(IDENT) is not None


def test_a_push_that_the_server_ended_is_begun_again(source: MemoryStore, target: Target) -> None:
    target.ends_after = 2
    assert push(REF, source, target, PushOptions(connections=1)).published
    assert target.pushes == 2
    assert target.store.manifest(IDENT) is not None
    assert len(target.sent) < len(PACKED) + 1100  # at most the failed batch is sent twice


def test_a_push_that_always_ends_fails(source: MemoryStore, target: Target) -> None:
    class Forgetful(Target):
        def begin_push(self) -> str:
            self.pushes += 1
            return "00" * 16

    forgetful = Forgetful(target.store)
    with pytest.raises(NotFoundError):
        push(REF, source, forgetful)
    assert forgetful.pushes == 3
    assert forgetful.closed


def test_a_server_that_loses_objects_ends_the_push(source: MemoryStore, target: Target) -> None:
    target.loses = {PACKED[7].id}
    with pytest.raises(IncompleteError):
        push(REF, source, target)
    assert target.sent.count(PACKED[7].id) == 3
    assert target.store.manifest(IDENT) is None
    target.loses.clear()
    assert push(REF, source, target).new == 1


def test_what_is_removed_after_the_look_is_sent(source: MemoryStore, target: Target) -> None:
    class Collecting(Target):
        def publish(self, push: str, what: ManifestId | NameUpdate) -> NameRecord | None:
            if not push:
                self.store.remove([parse_ref(IDENT.hex())])
                collect(self.store, CollectOptions(0))
            return super().publish(push, what)

    push(REF, source, target)
    collecting = Collecting(target.store)
    done = push(REF, source, collecting, PushOptions(name=parse_name("here")))
    assert done.new == len(PACKED)
    assert target.store.resolve(parse_ref("here")) == IDENT


def test_a_server_gets_only_objects_of_the_push(target: Target) -> None:
    """A server may ask for any object; only objects of the push are sent."""
    store = source_of(PACKED, IDENT)
    secret = pack(b"a secret")
    store.commit(Batch(objects=[secret]))
    target.asks_for = [(Kind.CHUNK, secret.id)]
    with pytest.raises(IncompleteError):
        push(REF, store, target)
    assert secret.id not in target.sent


def test_local_damage_is_an_error(target: Target) -> None:
    store = source_of(PACKED, IDENT)
    damaged = PACKED[3]
    store._tables.objects[Kind.CHUNK, damaged.id] = Packed(*pack(b"other bytes"))._replace(
        id=damaged.id
    )
    with pytest.raises(DamagedObjectError, match=damaged.id.hex()):
        push(REF, store, target)
    del store._tables.objects[Kind.CHUNK, damaged.id]
    with pytest.raises(DamagedObjectError, match=f"{damaged.id.hex()} is missing"):
        push(REF, store, target)
    assert target.store.manifest(IDENT) is None


def test_refusals_pass_through(source: MemoryStore, target: Target) -> None:
    with pytest.raises(NoNameError):
        push(parse_ref("unknown"), source, target)
    with pytest.raises(UsageError, match="sets no name"):
        push(REF, source, target, PushOptions(part=Part(1, 2), name=NAME))
    target.full = True
    with pytest.raises(NoSpaceError):
        push(REF, source, target)
    assert target.closed


def test_the_name_is_signed_in_the_step_that_sets_it(source: MemoryStore, target: Target) -> None:
    key = SigningKey.new()
    for _ in range(2):  # new content, then content that is there
        pushed = push(REF, source, target, PushOptions(name=NAME, signer=signing(key)))
        assert pushed.name is not None
        assert check_signed(pushed.name.signed, [key.public])[1].manifest == IDENT
    assert len(target.store.history(NAME)) == 1


@pytest.mark.parametrize("there", [False, True])
def test_a_push_loses_to_a_faster_writer_of_the_name(
    source: MemoryStore, target: Target, there: bool
) -> None:
    other, packed = content(PLAINS[:3])
    push(REF, source_of(packed, other), target)
    if there:
        push(REF, source, target)

    def slow(place: Publisher, name: Name, manifest: ManifestId) -> NameUpdate:
        said = signing(SigningKey.new())(place, name, manifest)
        target.store.set_name(NameUpdate(name, other))
        return said

    with pytest.raises(LostRaceError):
        push(REF, source, target, PushOptions(name=NAME, signer=slow))
    assert [record.manifest for record in target.store.history(NAME)] == [other]
