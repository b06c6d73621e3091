"""Tables that are brought over many rows in steps, interrupted anywhere, are those of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shutil import rmtree

import pytest

from casync.bucket.keys import SessionPart
from casync.bucket.run import RunRow, SegmentSize, encode_run
from casync.bucket.run_columns import GONE
from casync.errors import DamagedStoreError, MalformedError
from casync.ids import Kind
from casync.limits import RUNS_OF_A_LEVEL
from casync.names.name import parse_ref
from casync.ops.upkeep.gc import collect
from casync.store.bucket import catch_up, run_load
from casync.store.bucket.catch_up import CatchUp
from casync.store.bucket.run_file import RunFile
from casync.store.bucket.store import BucketStore
from tests.contract.store_contract import noise, put_manifest
from tests.contract.whole_store import Clock
from tests.large.many_chunks import make
from tests.support.memory_storage import MemoryStorage
from tests.unit.store.bucket.test_hosts import NOW, Hosts, sound, state


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(tmp_path, Clock(), stack)


@pytest.fixture(autouse=True)
def tiny_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "_STEPPED_BYTES", 0)
    monkeypatch.setattr(run_load, "_STEP_ROWS", 5)


def busy(store: BucketStore, first: int) -> None:
    """Commits, removes and collects, so that runs put, replace, move and delete rows."""
    for number in range(first, first + RUNS_OF_A_LEVEL + 3):
        put_manifest(store, noise(800, number), f"name/{number % 7}", f"own/{number}")
    store.remove([parse_ref(f"own/{first}"), parse_ref(f"own/{first + 1}")])
    collect(store, NOW)
    collect(store, NOW)


def test_hosts_agree_that_read_runs_one_by_one_late_or_all_at_once(hosts: Hosts) -> None:
    one, late = hosts.open(), hosts.open()
    busy(one, 0)
    assert state(late) == state(one)
    put_manifest(one, b"one more", "name/3")
    assert state(late) == state(one)  # beside rows that stay
    busy(one, 100)
    busy(one, 200)
    assert state(late) == state(one)  # whose first runs were merged with later ones
    assert state(hosts.open()) == state(one)


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_after(steps: int) -> Iterator[None]:
    """Hosts end when they have applied so many steps of a change."""
    whole, left = CatchUp._apply, steps

    def apply(self: CatchUp, *arguments: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        whole(self, *arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CatchUp, "_apply", apply)
        yield


@pytest.mark.parametrize("steps", [1, 2, 5, 9])
def test_a_host_that_was_killed_between_steps_begins_them_again(
    hosts: Hosts, tmp_path: Path, steps: int
) -> None:
    one = hosts.open()
    busy(one, 0)
    paths = [tmp_path / "new", tmp_path / "late"]
    hosts.open(path=paths[1]).close()
    busy(one, 100)
    for path in paths:
        with killed_after(steps), suppress(Killed):
            hosts.open(path=path).close()
        busy(one, 200)
        assert state(hosts.open(path=path)) == state(one)


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize("commits", [0, 1, RUNS_OF_A_LEVEL])
def test_rows_of_a_state_that_a_bucket_has_lost_again_are_never_relied_on(
    hosts: Hosts, tmp_path: Path, is_new: bool, commits: int
) -> None:
    """A host was killed while it applied them; then the bucket was rolled back, or made anew."""
    one, path = hosts.open(), tmp_path / "killed"
    if not is_new:
        busy(one, 0)
        hosts.open(path=path).close()
    earlier = dict(hosts.storage.objects) if not is_new else {}
    busy(one, 100)
    with killed_after(5), pytest.raises(Killed):
        hosts.open(path=path)
    hosts.storage.objects.clear()
    hosts.storage.objects.update(earlier)
    other = hosts.open()
    for number in range(commits):
        put_manifest(other, noise(700, number), "other")
    with pytest.raises(DamagedStoreError, match=r"rolled back|another store"):
        hosts.open(path=path)
    rmtree(path)
    put_manifest(hosts.open(path=path), noise(800, 100), "again")
    assert sound(hosts.open())


def test_a_store_of_many_chunks_is_read_to_the_last(hosts: Hosts, tmp_path: Path) -> None:
    storage = MemoryStorage()
    make(storage, 3000)
    with BucketStore.open_bucket(storage, tmp_path / "tables") as store:
        assert store.usage().objects[Kind.CHUNK].number == 3000


def test_rows_are_taken_up_to_an_id_and_must_be_in_order(tmp_path: Path) -> None:
    segments = [SegmentSize(SessionPart(bytes(16), 0), 10_000)]
    rows = [RunRow(bytes([n]) * 32, 0, 64, 9, 9, 1) for n in range(10)]
    rows[4] = RunRow(rows[4].id, GONE, 0, 0, 0, 0)

    def begun(rows: list[RunRow]) -> RunFile:
        file = RunFile(encode_run(bytes(16), segments, {Kind.CHUNK: rows}, []), tmp_path)
        file.begin(Kind.CHUNK, 3)
        return file

    file = begun(rows)
    assert file.look() == rows[2].id
    assert file.take(rows[1].id).ids == [rows[0].id, rows[1].id]
    assert file.look() == rows[5].id  # what was left, and a block
    assert list(file.take(rows[4].id).segments) == [0, 0, GONE]
    assert file.look() == rows[8].id
    file.take(rows[8].id)
    assert file.look() is None
    assert file.take(None).ids == [rows[9].id]
    file = begun([*rows[:3], *rows[2:]])
    file.take(file.look())
    file.look()
    with pytest.raises(MalformedError, match="not in order"):
        file.take(None)
