"""Several hosts on one store in a bucket: each has tables of its own."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from casync.bucket.head import BucketHead, decode_head
from casync.bucket.keys import HEAD_KEY, RUNS, SEGMENTS
from casync.bucket.lease import COLLECTOR_LEASE
from casync.bucket.storage import ObjectStorage
from casync.errors import (
    CasyncError,
    LockedError,
    LostRaceError,
    QuotaError,
    UnreachableError,
)
from casync.ids import Kind, ManifestId
from casync.limits import RUNS_OF_A_LEVEL
from casync.names.name import parse_name, parse_ref
from casync.names.name_update import NameUpdate
from casync.objects.codec import Packed
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.ops.upkeep.verify import verify
from casync.store.base import Batch, ManifestState
from casync.store.bucket.store import BucketStore
from tests.contract.store_contract import ids_of, noise, pack, put_manifest
from tests.contract.whole_store import DAY, Clock
from tests.support.faulty_storage import Fault, FaultyStorage, Schedule
from tests.support.memory_storage import MemoryStorage
from tests.support.small_store import content

NOW = CollectOptions(window=0)
FULL = ManifestState.FULL


class Hosts:
    """Opens one store on new hosts."""

    def __init__(self, folder: Path, clock: Clock, stack: ExitStack) -> None:
        self.storage = MemoryStorage(clock=clock)
        self.clock = clock
        self._folder = folder
        self._stack = stack
        self._numbers = count()

    def open(
        self, storage: ObjectStorage | None = None, *, path: Path | None = None
    ) -> BucketStore:
        place = path or self._folder / str(next(self._numbers))
        store = BucketStore.open_bucket(
            storage or self.storage, place, create=True, grace=0, clock=self.clock
        )
        store._environment.looks_after = 0.0
        return self._stack.enter_context(store)

    @property
    def head(self) -> BucketHead:
        stored = self.storage.get(HEAD_KEY)
        assert stored is not None
        return decode_head(stored.data)

    def keys(self, prefix: str) -> list[str]:
        return [each.key for each in self.storage.list(prefix)]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(tmp_path, Clock(), stack)


def state(store: BucketStore) -> tuple[object, ...]:
    """All that hosts must agree on."""
    environment = store._environment
    environment.refresh()
    names = [store.history(parse_name(record.name)) for record in store.names()]
    objects = {kind: list(store.objects(kind)) for kind in Kind}
    stats = [store.stat(kind, ids) for kind, ids in objects.items()]
    trash = store.removed()
    with environment.reading() as txn:
        use = sorted(bytes(v) for _, v in txn.cursor(environment.databases["segment_use"]))
        quota = txn.get(b"quota", db=environment.databases["meta"])
        kept = bytes(quota) if quota is not None else None
    return names, objects, stats, trash, list(store.manifests()), use, kept


def sound(store: BucketStore) -> bool:
    report = verify(store)
    return not report.faults


def test_hosts_see_what_others_commit(hosts: Hosts) -> None:
    one, two = hosts.open(), hosts.open()
    ident = put_manifest(one, b"1", "disk")
    assert two.resolve(parse_ref("disk")) == ident
    two.remove([parse_ref("disk")])
    assert [each.manifest for each in one.removed()] == [ident]
    one.restore([parse_ref("disk")])
    later = put_manifest(two, b"2", "disk")
    assert [record.manifest for record in one.history(parse_name("disk"))] == [ident, later]
    one.set_quota(10_000)
    with pytest.raises(QuotaError):
        two.commit(Batch(objects=[pack(noise(20_000))]))
    assert state(one) == state(two) == state(hosts.open())


def test_objects_are_written_once(hosts: Hosts) -> None:
    one, two = hosts.open(), hosts.open()
    packed = [pack(noise(5000, n)) for n in range(40)]
    assert one.commit(Batch(objects=packed)).objects == 40
    assert two.commit(Batch(objects=packed)).objects == 0
    assert list(two.get(Kind.CHUNK, ids_of(packed))) == [Packed(*item) for item in packed]
    assert len(hosts.keys(SEGMENTS)) == 1


def test_names_are_moved_by_one_of_many(hosts: Hosts) -> None:
    stores = [hosts.open() for _ in range(4)]
    idents = [put_manifest(store, b"%d" % n) for n, store in enumerate(stores)]
    won: list[int] = []

    def race(number: int) -> None:
        update = NameUpdate(parse_name("disk"), idents[number], 0)
        try:
            stores[number].set_name(update)
        except LostRaceError:
            return
        won.append(number)

    threads = [threading.Thread(target=race, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert stores[0].resolve(parse_ref("disk")) == idents[won[0]]


def test_many_commits_are_merged_and_read_by_new_hosts(hosts: Hosts) -> None:
    one, late = hosts.open(), hosts.open()
    for number in range(3 * RUNS_OF_A_LEVEL):
        put_manifest(one, b"content %d" % number, f"name/{number % 20}")
        if number == RUNS_OF_A_LEVEL // 2:
            late._environment.refresh()  # in the middle of what is merged later
    one.remove([parse_ref("name/3"), parse_ref("name/4")])
    collect(one, NOW)
    for number in range(RUNS_OF_A_LEVEL):
        put_manifest(one, b"more %d" % number, "more")
    assert len(hosts.head.runs) < RUNS_OF_A_LEVEL
    assert len(hosts.keys(RUNS)) > len(hosts.head.runs)
    collect(one, NOW)
    listed = {run.part for run in hosts.head.runs}
    assert len(hosts.keys(RUNS)) <= len(listed) + 6  # those of this collection
    assert state(one) == state(late) == state(hosts.open())
    assert sound(late)


def test_a_collection_beside_another_host_keeps_what_that_relies_on(hosts: Hosts) -> None:
    one, two = hosts.open(), hosts.open()
    ident, packed = content([noise(20_000, n) for n in range(5)])
    chunks = [item for item in packed if item.kind is Kind.CHUNK]
    with hosts.open() as other:
        other.commit(Batch(objects=packed))
        assert collect(one, NOW).objects == 0
    assert two.known(Kind.CHUNK, ids_of(chunks[:2])) == [True, True]
    assert collect(one, NOW).objects == 0  # the floor of the other host is 0
    two.commit(Batch(objects=[pack(b"renews what was promised")]))
    assert collect(one, NOW).objects == len(packed) - 2
    rest = [item for item in packed if item not in chunks[:2]]
    two.commit(Batch(objects=rest, manifests=[(ident, FULL, 100_000)]))
    collect(one, NOW)
    assert list(one.get(Kind.CHUNK, ids_of(chunks))) == [Packed(*item) for item in chunks]
    assert sound(one)


def test_emptied_segments_are_deleted_after_the_grace(hosts: Hosts, tmp_path: Path) -> None:
    path = tmp_path / "patient"
    with BucketStore.open_bucket(
        hosts.storage, path, create=True, grace=DAY, clock=hosts.clock
    ) as store:
        put_manifest(store, noise(50_000), "disk")
        store.remove([parse_ref("disk")])
        assert collect(store, NOW).objects == 2
        assert len(hosts.keys(SEGMENTS)) == 2
        hosts.clock.now += DAY + 1
        collect(store, NOW)
        assert hosts.keys(SEGMENTS) == []


def test_records_of_mostly_dead_segments_move(hosts: Hosts) -> None:
    one, two = hosts.open(), hosts.open()
    packed = [pack(noise(20_000, n)) for n in range(20)]
    with hosts.open() as other:
        other.commit(Batch(objects=packed))
    (before,) = hosts.keys(SEGMENTS)
    ident, kept = content([noise(20_000, 3), noise(20_000, 4)])
    one.commit(Batch(objects=kept, manifests=[(ident, FULL, 40_000)]))
    done = collect(one, NOW)
    assert done.objects == 18
    assert done.moved > 40_000
    assert before not in hosts.keys(SEGMENTS)
    assert two.known(Kind.CHUNK, ids_of(packed)) == [n in (3, 4) for n in range(20)]
    assert list(two.get(Kind.CHUNK, ids_of(packed[3:5]))) == [Packed(*i) for i in packed[3:5]]
    assert state(one) == state(two) == state(hosts.open())


def test_a_reader_finds_objects_that_have_moved_since(hosts: Hosts) -> None:
    one, two = hosts.open(), hosts.open()
    two._environment.looks_after = 3600.0
    packed = [pack(noise(20_000, n)) for n in range(20)]
    with hosts.open() as other:
        other.commit(Batch(objects=packed))
    two._environment.refresh()
    ident, kept = content([noise(20_000, 3), noise(20_000, 4)])
    one.commit(Batch(objects=kept, manifests=[(ident, FULL, 40_000)]))
    collect(one, NOW)
    assert list(two.get(Kind.CHUNK, ids_of(packed[3:5]))) == [Packed(*i) for i in packed[3:5]]


def test_what_a_killed_writer_uploaded_is_deleted_when_its_session_ends(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, killed = hosts.open(), hosts.open()
    killed.commit(Batch(objects=[pack(b"loose")]))

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hosts.storage, "swap", dies)
        with pytest.raises(KeyboardInterrupt):
            put_manifest(killed, noise(30_000), "lost")
    uploaded = len(hosts.keys(SEGMENTS))
    collect(one, NOW)
    assert len(hosts.keys(SEGMENTS)) == uploaded == 3
    hosts.clock.now += DAY + 1
    assert collect(one, NOW).objects == 1
    assert hosts.keys(SEGMENTS) == []
    with pytest.raises(LostRaceError, match="has been ended"):
        killed.commit(Batch(objects=[pack(b"another")]))


def test_the_session_of_a_killed_process_ends_with_the_next_writer_of_its_host(
    hosts: Hosts, tmp_path: Path
) -> None:
    one = hosts.open()
    killed = hosts.open(path=tmp_path / "host")
    killed.commit(Batch(objects=[pack(b"loose")]))
    environment = killed._environment
    assert collect(one, NOW).objects == 0
    environment._parts.session = b""  # its process ends without closing it
    killed.close()
    assert collect(one, NOW).objects == 0
    put_manifest(hosts.open(path=tmp_path / "host"), b"1", "disk")
    assert len(hosts.head.sessions) == 2
    assert collect(one, NOW).objects == 1


def test_a_session_that_was_promised_nothing_begins_anew(hosts: Hosts) -> None:
    one, two = hosts.open(), hosts.open()
    put_manifest(one, b"1", "disk")
    hosts.clock.now += DAY + 1
    collect(two, NOW)
    put_manifest(one, b"2", "disk")
    assert len(two.history(parse_name("disk"))) == 2


def test_a_reader_keeps_the_session_of_its_process(hosts: Hosts) -> None:
    one, two = hosts.open(), hosts.open()
    one.commit(Batch(objects=[pack(b"loose")]))
    for _ in range(4):
        hosts.clock.now += DAY / 2
        list(one.names())
        assert collect(two, NOW).objects == 0
    put_manifest(one, b"2", "disk")


_FAULTS = {
    Fault.LOST: 0.05,
    Fault.REFUSED: 0.05,
    Fault.ERROR: 0.03,
    Fault.CONFLICT: 0.03,
    Fault.BUSY: 0.02,
}


@pytest.mark.parametrize("seed", [*range(8), 21, 25, 27, 48, 58])
def test_nothing_acknowledged_is_lost_by_a_storage_that_fails(hosts: Hosts, seed: int) -> None:
    chance = random.Random(seed)
    put_manifest(hosts.open(), b"0", "first")
    faulty = [FaultyStorage(hosts.storage, Schedule(seed * 10 + n, _FAULTS)) for n in range(3)]
    stores = [_patiently(partial(hosts.open, each)) for each in faulty]
    expected: dict[str, ManifestId] = {}
    for _ in range(120):
        store, name = chance.choice(stores), f"name/{chance.randrange(12)}"
        plain = noise(3000, chance.randrange(40))
        try:
            if chance.random() < 0.1:
                collect(store, NOW)
            elif chance.random() < 0.15 and name in expected:
                store.remove([parse_ref(name)])
                del expected[name]
            else:
                expected[name] = put_manifest(store, plain, name)
        except UnreachableError:
            expected.pop(name, None)  # may have happened
        except LockedError:
            hosts.storage.delete([COLLECTOR_LEASE])  # which could not be given back
    good = hosts.open()
    for name, ident in expected.items():
        assert good.resolve(parse_ref(name)) == ident
    assert sound(good)
    for each in faulty:
        each._schedule = Schedule(0, {})
    hosts.storage.delete([COLLECTOR_LEASE])
    for store in stores:
        collect(store, NOW)  # condemns segments that a failed collection has emptied
    assert all(state(store) == state(good) for store in stores)


def _patiently(action: Callable[[], BucketStore]) -> BucketStore:
    for _ in range(50):
        try:
            return action()
        except CasyncError:
            continue
    return action()


def test_writers_and_a_collector_at_the_same_time(hosts: Hosts) -> None:
    """Writers share a pool of content that is removed and collected all the time."""
    errors: list[BaseException] = []
    kept: dict[str, ManifestId] = {}
    stop = threading.Event()

    def write(number: int, store: BucketStore) -> None:
        chance = random.Random(number)
        try:
            for turn in range(12):
                plains = [noise(2000, chance.randrange(30)) for _ in range(6)]
                ident, packed = content(plains)
                chunks = [item for item in packed if item.kind is Kind.CHUNK]
                known = store.known(Kind.CHUNK, ids_of(chunks))
                new = [item for item, is_known in zip(chunks, known, strict=True) if not is_known]
                rest = [item for item in packed if item.kind is not Kind.CHUNK]
                name = f"{number}/{turn % 3}"
                update = NameUpdate(parse_name(name), ident)
                full = [(ident, FULL, 12_000)]
                store.commit(Batch(objects=[*new, *rest], manifests=full, names=[update]))
                kept[name] = ident
                if turn % 4 == 3:
                    store.remove([parse_ref(name)])
                    del kept[name]
        except BaseException as error:
            errors.append(error)

    def gather(store: BucketStore) -> None:
        try:
            while not stop.is_set():
                collect(store, NOW)
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=write, args=(n, hosts.open())) for n in range(3)]
    collector = threading.Thread(target=gather, args=(hosts.open(),))
    for thread in (*writers, collector):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    collector.join()
    assert not errors
    good = hosts.open()
    assert {name: good.resolve(parse_ref(name)) for name in kept} == kept
    assert sound(good)
