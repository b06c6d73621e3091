"""In place, what stays in a file that the store remembers as settled is left alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from casync.access.endpoints import Endpoints
from casync.fs.identity import NO_FILE, FileIdentity, identity_of
from casync.fs.seed import SeedFile
from casync.fs.target.in_place import InPlaceFile
from casync.ids import Buffer, ManifestId
from casync.names.name import Ref
from casync.ops.pull.file import Pulled
from casync.ops.pull.forecast import Forecast
from casync.ops.pull.rebuild import Rebuilder
from casync.ops.pull.wanted import PullOptions
from casync.store.base import Batch, RememberedFile
from casync.store.memory import MemoryStore
from tests.support.pulling import MemoryServer, forecast_file, noise, pull_file, put, run

OLD = noise(1, 400_000)
CHANGED = OLD[:200_000] + b"new" + OLD[200_003:]
MOVED = OLD[:50_000] + noise(2, 7_000) + OLD[50_000:300_000] + bytes(30_000) + OLD[300_000:]


class World:
    """A receiver that has the old content, and remembers it."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self.server, self.store = MemoryServer(), MemoryStore()
        self.old = put(self.server, OLD)
        run(self.old, self.out, self.server, self.store)
        self.remember(settled=True)

    def remember(self, *, settled: bool) -> None:
        """Makes the row of the target match the file as it is now."""
        row = replace(self.row, identity=self.identity, settled=settled)
        self.store.commit(Batch(remember=[row]))

    @property
    def row(self) -> RememberedFile:
        row = self.store.recall(bytes(self.out))
        assert row is not None
        return row

    @property
    def identity(self) -> FileIdentity:
        return identity_of(self.out.stat())

    def rot(self, *places: int, settled: bool) -> None:
        """Changes bytes as a failing disk does: the row still matches the file."""
        data = bytearray(self.out.read_bytes())
        for place in places:
            data[place] ^= 1
        with self.out.open("r+b") as file:
            file.write(data)
        self.remember(settled=settled)

    def pull(self, data: bytes, **options: object) -> Pulled:
        options = {"in_place": True, "delta": "never", **options}
        self.server.asked.clear()
        return run(put(self.server, data), self.out, self.server, self.store, **options)

    def forecast(self, data: bytes) -> Forecast:
        given = PullOptions(in_place=True, delta="never")
        endpoints = Endpoints(self.store, True, [self.store], [self.server])
        return forecast_file(Ref(manifest=put(self.server, data)), self.out, endpoints, given)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What is read of targets and seeds, as (start, end)."""
    found: list[tuple[int, int]] = []
    of_target, of_seed = InPlaceFile.read, SeedFile.read

    def read_target(file: InPlaceFile, offset: int, length: int) -> bytes:
        found.append((offset, offset + length))
        return of_target(file, offset, length)

    def read_seed(file: SeedFile, offset: int, length: int) -> bytes:
        found.append((offset, offset + length))
        return of_seed(file, offset, length)

    monkeypatch.setattr(InPlaceFile, "read", read_target)
    monkeypatch.setattr(SeedFile, "read", read_seed)
    return found


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What is written to targets, as (start, end)."""
    found: list[tuple[int, int]] = []
    write = InPlaceFile.write

    def note(file: InPlaceFile, offset: int, buffers: Sequence[Buffer]) -> None:
        found.append((offset, offset + sum(map(len, buffers))))
        write(file, offset, buffers)

    monkeypatch.setattr(InPlaceFile, "write", note)
    return found


def test_nothing_of_what_stays_is_read_or_written(
    world: World, reads: list[tuple[int, int]], writes: list[tuple[int, int]]
) -> None:
    pulled = world.pull(CHANGED)
    assert world.out.read_bytes() == CHANGED
    assert pulled.sources["server"] < 10_000
    assert pulled.sources.keys() == {"server", "in place"}
    for start, end in reads + writes:
        assert 200_000 - 8_192 < start < end < 200_000 + 8_192
    assert sum(end - start for start, end in writes) == pulled.sources["server"]


@pytest.mark.parametrize("reread", [False, True])
def test_zeros_that_stay_are_left_alone(
    reread: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros may occupy the disk, in a file that was allocated as a whole or copied."""
    old, new = OLD + bytes(9_000_000) + OLD[::-1], CHANGED + bytes(9_000_000) + OLD[::-1]
    world.pull(old)
    world.out.write_bytes(old)
    world.remember(settled=True)
    zeroed: list[int] = []
    zero = InPlaceFile.zero

    def note(file: InPlaceFile, offset: int, length: int) -> None:
        zeroed.append(length)
        zero(file, offset, length)

    monkeypatch.setattr(InPlaceFile, "zero", note)
    forecast = world.forecast(new)
    pulled = world.pull(new, reread=reread)
    assert world.out.read_bytes() == new
    assert pulled.sources == forecast.sources or reread
    assert (sum(zeroed) > 8_000_000) == reread


def test_what_moves_is_read_and_hashed(world: World, reads: list[tuple[int, int]]) -> None:
    world.rot(100_000, 350_000, settled=True)
    pulled = world.pull(MOVED)
    assert world.out.read_bytes() == MOVED
    assert sum(end - start for start, end in reads) > 300_000
    assert pulled.sources["server"] > 7_000
    assert all(end > 40_000 for _, end in reads)


def test_what_moves_is_read_once(world: World, reads: list[tuple[int, int]]) -> None:
    world.pull(MOVED)
    assert world.out.read_bytes() == MOVED
    assert 300_000 < sum(end - start for start, end in reads) < 400_000


@pytest.mark.parametrize("data", [CHANGED, MOVED], ids=["changed", "moved"])
@pytest.mark.parametrize("doubt", ["unsettled", "reread", "other identity", "no row"])
def test_a_byte_that_changed_silently_is_found_where_there_is_doubt(
    doubt: str, data: bytes, world: World
) -> None:
    world.rot(10_000, settled=doubt != "unsettled")
    if doubt == "other identity":
        row = replace(world.row, identity=NO_FILE)
        world.store.commit(Batch(remember=[row]))
    elif doubt == "no row":
        world.store.commit(Batch(forget=[bytes(world.out)]))
    world.pull(data, reread=doubt == "reread")
    assert world.out.read_bytes() == data


def test_a_settled_file_is_trusted(world: World) -> None:
    """What README promises: only `--reread` finds what a disk changed without a trace."""
    world.rot(10_000, settled=True)
    world.pull(CHANGED)
    wrong = bytearray(CHANGED)
    wrong[10_000] ^= 1
    assert world.out.read_bytes() == wrong


def test_chunks_that_stay_are_read_to_be_kept(world: World) -> None:
    world.rot(10_000, settled=True)
    pulled = world.pull(CHANGED, cache=True)
    assert world.out.read_bytes() == CHANGED
    other = world.out.with_name("other")
    silent = MemoryServer()
    run(pulled.manifest, other, silent, world.store)
    assert other.read_bytes() == CHANGED


@pytest.mark.parametrize("data", [CHANGED, MOVED], ids=["changed", "moved"])
@pytest.mark.parametrize("step", ["_copy_here", "_settle"])
def test_a_killed_pull_leaves_a_row_that_matches_no_file(
    step: str, data: bytes, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Rebuilder, step, killed)
        with pytest.raises(KeyboardInterrupt):
            world.pull(data)
    assert world.row.identity == NO_FILE
    assert not world.row.settled
    assert world.row.manifest == world.old
    world.pull(data)
    assert world.out.read_bytes() == data
    assert world.row.identity == world.identity
    assert world.row.manifest != world.old


@pytest.mark.parametrize("data", [CHANGED, MOVED], ids=["changed", "moved"])
def test_the_row_matches_no_file_before_the_first_write(
    data: bytes, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[RememberedFile] = []
    write, zero = InPlaceFile.write, InPlaceFile.zero

    def note_write(file: InPlaceFile, offset: int, buffers: Sequence[Buffer]) -> None:
        rows.append(world.row)
        write(file, offset, buffers)

    def note_zero(file: InPlaceFile, offset: int, length: int) -> None:
        rows.append(world.row)
        zero(file, offset, length)

    monkeypatch.setattr(InPlaceFile, "write", note_write)
    monkeypatch.setattr(InPlaceFile, "zero", note_zero)
    world.pull(data)
    assert rows
    assert {row.identity for row in rows} == {NO_FILE}


@pytest.mark.parametrize("fails", range(6))
def test_a_pull_may_be_killed_at_any_write(
    fails: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = fails
    write = InPlaceFile.write

    def killed(file: InPlaceFile, offset: int, buffers: Sequence[Buffer]) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            write(file, offset, [bytes(buffers[0])[:100]])
            raise KeyboardInterrupt
        write(file, offset, buffers)

    with monkeypatch.context() as patch:
        patch.setattr(InPlaceFile, "write", killed)
        try:
            world.pull(MOVED)
        except KeyboardInterrupt:
            assert world.row.identity == NO_FILE
    world.pull(MOVED)
    assert world.out.read_bytes() == MOVED


@pytest.mark.parametrize("in_place", [True, False], ids=["in place", "over"])
@pytest.mark.parametrize(
    ("settled", "reread", "outcome"),
    [(True, False, "up to date"), (True, True, "written"), (False, False, "written")],
)
def test_only_a_settled_file_is_up_to_date_without_a_look(
    outcome: str,
    settled: bool,
    reread: bool,
    in_place: bool,
    world: World,
    reads: list[tuple[int, int]],
) -> None:
    world.rot(10_000, settled=settled)
    pulled = world.pull(OLD, in_place=in_place, reread=reread)
    assert pulled.outcome == outcome
    if outcome == "up to date":
        assert reads == []
        assert world.server.asked == []
    else:
        assert world.out.read_bytes() == OLD


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "unsettled"])
def test_an_equal_file_is_up_to_date_and_costs_no_chunk(settled: bool, world: World) -> None:
    world.remember(settled=settled)
    pulled = world.pull(OLD)
    assert pulled.outcome == "up to date"
    assert pulled.sources == {"in place": len(OLD)}
    assert world.server.asked == []
    assert world.row.manifest == ManifestId(world.old)


def test_a_store_that_cannot_take_back_what_it_remembers_is_not_relied_on(world: World) -> None:
    world.rot(10_000, settled=True)
    ident = put(world.server, CHANGED)
    endpoints = Endpoints(MemoryStore(), False, [world.store], [world.server])
    pull_file(Ref(manifest=ident), world.out, endpoints, PullOptions(in_place=True))
    assert world.out.read_bytes() == CHANGED
