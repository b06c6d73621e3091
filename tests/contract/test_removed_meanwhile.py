"""What is removed and collected while a store is read is no damage of the store."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from casync.errors import NoNameError, NoObjectError
from casync.ids import Kind, chunk_id
from casync.names.name import parse_name, parse_ref
from casync.objects.node import Content
from casync.ops.publish.publish import PublishOptions, publish
from casync.ops.push.push import PushOptions, plan_push, push
from casync.ops.upkeep.copy import copy
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.ops.upkeep.verify import Fault, FaultKind, VerifyOptions, verify
from casync.store.bucket.environment import BucketEnvironment
from casync.store.lmdb.environment import Txn
from casync.store.lmdb.rows import index_key
from casync.store.lmdb.store import LmdbStore
from tests.contract.store_contract import noise
from tests.contract.whole_store import Clock
from tests.support import damaging
from tests.support.memory_storage import MemoryStorage
from tests.support.whole_stores import Places, put_content
from tests.unit.ops.push.test_push import Target

LOOKS: Final = {"disk": 0.0, "bucket, always at the head": 0.0, "bucket, behind": math.inf}
LOST: Final = b"never stored"


class World:
    """A store, one host that reads it, and one that removes a content meanwhile."""

    def __init__(self, kind: str, folder: Path, clock: Clock, stack: ExitStack) -> None:
        places = Places(folder, lambda _: MemoryStorage())
        is_bucket = kind != "disk"
        self.writer = stack.enter_context(places.open("bucket" if is_bucket else kind, "a"))
        self.writer._clock = clock
        self.reader = self.writer
        if is_bucket:
            self.reader = stack.enter_context(places.open("bucket", "a"))
            for store, seconds in ((self.writer, 0.0), (self.reader, LOOKS[kind])):
                assert isinstance(store._environment, BucketEnvironment)
                store._environment.looks_after = seconds
        self._clock = clock
        self._fillings = 0

    def fill(self) -> None:
        """Adds a content that goes, and one that shares chunks with it."""
        self._fillings += 1
        own = [noise(900 + n, 100 * self._fillings + n) for n in range(9)]
        shared = [noise(1900 + n, n) for n in range(9)]
        put_content(self.writer, shared, "stays")
        self._plains = [*own, *shared]
        self.goes = put_content(self.writer, self._plains, "goes")
        self.reader.refresh()

    def lose(self) -> list[Fault]:
        """Adds a content that lacks its chunk; what is to be said of it."""
        ident = chunk_id(LOST)
        needs = damaging.put_content(self.writer, Content(0, ident, len(LOST)))
        return [Fault(Kind.CHUNK, ident, FaultKind.MISSING, "", (needs,), ())]

    def remove(self) -> None:
        self.writer.remove([parse_ref("goes")])
        for _ in range(2):
            collect(self.writer, CollectOptions(window=0))
        assert self.writer.stat(Kind.MANIFEST, [self.goes]) == [None]

    def put_back(self) -> None:
        self._clock.now += 1
        put_content(self.writer, self._plains, "goes")

    def remove_by_halves(self) -> None:
        """As while the reader applies a large change: objects go first, what needs them last."""
        self.remove()
        environment = self.reader._environment
        assert isinstance(environment, BucketEnvironment)
        key, index = index_key(Kind.MANIFEST, self.goes), environment.databases["index"]
        assert environment.write_here(lambda txn: txn.delete(key, db=index), need=0)
        assert self.reader.manifest(self.goes) is not None

    @contextmanager
    def before_looks(self, number: int, actions: Actions) -> Iterator[list[Action]]:
        """Does something before looks of the reader into its tables: this one, and next ones.

        Yields:
            What is still to be done.
        """
        environment, looks = self.reader._environment, count()
        begin, left = environment._begin_reading, list(actions)
        lock, is_acting = threading.RLock(), False

        def look() -> Txn:
            nonlocal is_acting
            with lock:
                if left and not is_acting and next(looks) >= number:
                    is_acting = True
                    left.pop(0)(self)
                    is_acting = False
            return begin()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(environment, "_begin_reading", look)
            yield left


Action: TypeAlias = Callable[[World], object]
Actions: TypeAlias = Sequence[Action]

GOES: Final[Actions] = [World.remove]
COMES_BACK: Final[Actions] = [World.remove, id, World.put_back]
CASES: Final = [(GOES, False), (COMES_BACK, False), (GOES, True)]


def push_it(source: LmdbStore, target: LmdbStore) -> None:
    push(parse_ref("goes"), source, Target(target), PushOptions(connections=1))


def plan_it(source: LmdbStore, target: LmdbStore) -> None:
    plan_push(parse_ref("goes"), source, Target(target))


def publish_it(source: LmdbStore, _: LmdbStore) -> None:
    publish([parse_name("goes")], source, MemoryStorage(), PublishOptions(), int(Clock.now))


@pytest.fixture(params=LOOKS)
def world(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(request.param, tmp_path, clock, stack)


@pytest.mark.parametrize(("actions", "is_hurt"), CASES)
def test_verify_reports_only_what_is_wrong(world: World, actions: Actions, is_hurt: bool) -> None:
    faults = world.lose() if is_hurt else []
    for number in count():
        world.fill()
        with world.before_looks(number, actions) as left:
            report = verify(world.reader, options=VerifyOptions(workers=1))
        assert report.faults == faults, number
        if left:
            break
    assert number > 8


def test_verify_reports_nothing_of_a_chosen_content(world: World) -> None:
    for number in count():
        world.fill()
        with world.before_looks(number, GOES) as left:
            try:
                report = verify(world.reader, [world.goes], VerifyOptions(workers=1))
            except NoObjectError:
                assert number < 2  # it went before anything was read
            else:
                assert report.faults == []
        if left:
            break
    assert number > 3


@pytest.mark.parametrize(("actions", "is_hurt"), CASES)
def test_copy_leaves_out_what_goes(
    world: World, actions: Actions, is_hurt: bool, tmp_path: Path
) -> None:
    faults = world.lose() if is_hurt else []
    with LmdbStore.open(tmp_path / "target", create=True) as target:
        for number in count():
            world.fill()
            with world.before_looks(number, actions) as left:
                copied = copy(world.reader, target)
            assert (copied.faults, copied.left_out) == (faults, len(faults)), number
            assert verify(target).faults == [], number
            if left:
                break
        world.reader.refresh()
        copy(world.reader, target)
        there = {record.name for record in target.names()}
        assert there >= {record.name for record in world.reader.names()}
        assert verify(target).faults == []
    assert number > 6


@pytest.mark.parametrize("sends", [push_it, plan_it, publish_it])
def test_what_is_sent_and_goes_is_not_called_damaged(
    world: World, sends: Callable[[LmdbStore, LmdbStore], object], tmp_path: Path
) -> None:
    failed = 0
    with LmdbStore.open(tmp_path / "target", create=True) as target:
        for number in count():
            world.fill()
            with world.before_looks(number, GOES) as left:
                try:
                    sends(world.reader, target)
                except (NoNameError, NoObjectError):
                    failed += 1
            if left:
                break
    assert failed > 3


@pytest.mark.parametrize("world", ["bucket, behind"], indirect=True)
def test_a_host_that_is_amid_a_catch_up_finishes_it(world: World) -> None:
    world.fill()
    world.remove_by_halves()
    assert verify(world.reader, options=VerifyOptions(quick=True)).faults == []
    world.fill()
    world.remove_by_halves()
    copied = copy(world.reader, None, dry_run=True)
    assert (copied.faults, copied.left_out, copied.manifests) == ([], 0, 1)
