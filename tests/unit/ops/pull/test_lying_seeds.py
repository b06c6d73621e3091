"""Seeds that change under a plan: what they no longer have is fetched, and the result is right."""

from __future__ import annotations

import errno
import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace as with_fields

from casync.access.content_file import read_range
from casync.access.endpoints import Endpoints
from casync.access.progress import SILENT, Progress
from casync.cutting.list_chunks import ChunkTaker, list_chunks
from casync.errors import SourceChangedError
from casync.fs.identity import identity_of
from casync.fs.seed import SeedFile
from casync.ids import Kind, ManifestId
from casync.names.name import Ref
from casync.objects.chunker import ChunkerParams
from casync.ops.pull import find_seeds
from casync.ops.pull import seeds as pull_seeds
from casync.ops.pull.file import Pulled
from casync.ops.pull.seeds import Seeds
from casync.ops.pull.wanted import PullOptions
from casync.planning import portions
from casync.store.base import Batch, ManifestState, RememberedFile
from casync.store.memory import MemoryStore
from tests.support.pulling import MemoryServer, noise, outline_of, pull_file, put

FIRST = noise(1, 200_000)
SECOND = noise(2, 150_000)
NEW = (
    FIRST[:60_000]
    + bytes(20_000)
    + SECOND[30_000:120_000]
    + FIRST[90_000:]
    + noise(3, 5_000)
    + SECOND[30_000:60_000]
    + noise(3, 5_000)
)
"""Parts of both, moved and repeated, a hole, and something new."""

Lie = Callable[[bytes], bytes]
LIES: dict[str, Lie] = {
    "other bytes": lambda data: bytes(byte ^ 255 for byte in data),
    "zeros": lambda data: bytes(len(data)),
    "half of the bytes": lambda data: data[: len(data) // 2],
    "nothing": lambda data: b"",
    "one byte changed": lambda data: data[:-1] + bytes([data[-1] ^ 1]) if data else data,
}
TARGETS = ["new", "over", "in place", "stream", "store"]


class World:
    """A server with the new content, and a receiver with seeds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server, self.store = MemoryServer(), MemoryStore()
        self.out = folder / "out"
        self.named: list[Path] = []

    def known(self, name: str, data: bytes) -> Path:
        """A file whose content the store remembers."""
        path = self.folder / name
        path.write_bytes(data)
        self.remember(path, data)
        return path

    def remember(self, path: Path, data: bytes, *, settled: bool = False) -> None:
        """Makes the store remember a file with these bytes, whatever it has."""
        ident = put(self.server, data)
        outline_of(ident, self.store, [self.server])
        row = RememberedFile(bytes(path), identity_of(path.stat()), ident, settled=settled)
        kept = [(ident, ManifestState.OUTLINE, len(data))]
        self.store.commit(Batch(manifests=kept, remember=[row]))

    def cut(self, name: str, data: bytes) -> Path:
        """A file that only the user names."""
        path = self.folder / name
        path.write_bytes(data)
        self.named.append(path)
        return path

    def pull(self, target: str, data: bytes = NEW, **options: object) -> Pulled:
        """Pulls to a target and checks the result."""
        ident = put(self.server, data)
        stream = io.BytesIO()
        output: Path | io.BytesIO | None = {"stream": stream, "store": None}.get(target, self.out)
        self.server.asked.clear()
        endpoints = Endpoints(self.store, True, [self.store], [self.server])
        given = PullOptions(
            seeds=tuple(self.named),
            in_place=target == "in place",
            **options,  # type: ignore[arg-type]
        )
        pulled = pull_file(Ref(manifest=ident), output, endpoints, given)
        assert self.result(ident, output) == data
        assert sum(pulled.sources.values()) == len(data)
        return pulled

    def result(self, ident: ManifestId, output: Path | io.BytesIO | None) -> bytes:
        if isinstance(output, io.BytesIO):
            return output.getvalue()
        if output is not None:
            return output.read_bytes()
        outline = outline_of(ident, self.store)
        return b"".join(map(bytes, read_range(outline, self.store, 0, outline.length)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def with_seeds(world: World, first: str, second: str) -> None:
    for name, kind, data in (("first", first, FIRST), ("second", second, SECOND)):
        if kind != "none":
            (world.known if kind == "known" else world.cut)(name, data)


KINDS = ["known", "cut", "none"]


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("target", TARGETS)
def test_honest_seeds_are_used_to_the_full(
    target: str, first: str, second: str, world: World
) -> None:
    with_seeds(world, first, second)
    if target in {"over", "in place"}:
        world.out.write_bytes(SECOND)
    pulled = world.pull(target)
    assert len(world.server.asked) == len(set(world.server.asked))
    had = [first != "none", second != "none" or target in {"over", "in place"}]
    fetched = pulled.sources["server"]
    most = 5_000 + (0 if had[0] else 170_000) + (0 if had[1] else 90_000)
    if target == "stream":  # a repeat cannot be read back
        most += 5_000 + (0 if had[1] else 30_000)
    assert fetched < most + 40_000


@pytest.mark.parametrize(("first", "second"), [("known", "cut"), ("cut", "known")])
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("target", TARGETS)
def test_seeds_that_change_under_the_plan_are_not_believed(
    target: str, lie: str, first: str, second: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_seeds(world, first, second)
    if target in {"over", "in place"}:
        world.out.write_bytes(SECOND)
    honest = Seeds.read

    def read(seeds: Seeds, number: int, offset: int, length: int) -> bytes:
        return LIES[lie](honest(seeds, number, offset, length))

    monkeypatch.setattr(Seeds, "read", read)
    world.pull(target)
    assert len(world.server.asked) == len(set(world.server.asked))


@pytest.mark.parametrize("target", TARGETS)
def test_every_second_read_of_a_seed_may_lie(
    target: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_seeds(world, "known", "cut")
    monkeypatch.setattr(portions, "PORTION_BYTES", 30_000)
    monkeypatch.setattr(portions, "_COPY_BYTES", 7_000)
    honest, chance = Seeds.read, random.Random(1)

    def read(seeds: Seeds, number: int, offset: int, length: int) -> bytes:
        data = honest(seeds, number, offset, length)
        return LIES[chance.choice(list(LIES))](data) if chance.random() < 0.5 else data

    monkeypatch.setattr(Seeds, "read", read)
    for _ in range(3):
        pulled = world.pull(target)
        assert pulled.sources["server"]
        world.out.unlink(missing_ok=True)
        world.store = MemoryStore()
        world.known("first", FIRST)


@pytest.mark.parametrize("target", ["new", "over", "in place", "stream", "store"])
def test_a_remembered_file_that_has_other_bytes_is_not_believed(target: str, world: World) -> None:
    rotten = bytearray(FIRST)
    for at in range(10_000, len(rotten), 20_000):
        rotten[at] ^= 1
    world.remember(world.known("first", bytes(rotten)), FIRST)
    if target in {"over", "in place"}:
        world.out.write_bytes(bytes(rotten))
        world.remember(world.out, FIRST)
    pulled = world.pull(target)
    repeated = 35_000 if target == "stream" else 0
    assert 0 < pulled.sources["server"] < 140_000 + repeated


@pytest.mark.parametrize("knowledge", ["unsettled", "settled"])
def test_rotten_bytes_that_move_in_place_are_fetched(knowledge: str, world: World) -> None:
    new = noise(9, 3_000) + FIRST[100_000:] + FIRST[:100_000]
    rotten = bytearray(FIRST)
    rotten[50_000] ^= 1
    rotten[150_000] ^= 1
    world.out.write_bytes(rotten)
    world.remember(world.out, FIRST, settled=knowledge == "settled")
    pulled = world.pull("in place", new)
    assert pulled.sources["in place"] > 150_000
    assert 0 < pulled.sources["server"] < 40_000


def test_a_target_that_cannot_be_opened_as_a_seed_leaves_its_number_to_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another seed is not mistaken for the target."""
    world.out.write_bytes(noise(8, len(NEW)))
    world.cut("second", NEW[:100_000] + noise(5, 100_000))

    def opened(path: Path) -> SeedFile:
        if path == world.out:
            raise OSError(errno.EMFILE, "too many open files")
        return SeedFile(path)

    monkeypatch.setattr(find_seeds, "SeedFile", opened)
    world.pull("in place")


def test_a_target_that_changes_while_it_is_cut_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.out.write_bytes(FIRST)

    def cut_and_change(
        path: Path,
        params: ChunkerParams,
        taker: ChunkTaker,
        progress: Progress,
        *,
        descriptor: int | None = None,
    ) -> None:
        list_chunks(path, params, taker, progress, descriptor=descriptor)
        with path.open("r+b") as file:
            file.seek(1_000)
            file.write(b"changed")
        raise SourceChangedError("changed")

    monkeypatch.setattr(pull_seeds, "list_chunks", cut_and_change)
    world.pull("in place", FIRST[:150_000] + noise(4, 50_000))


@pytest.mark.parametrize("portion", [20_000, 1 << 24], ids=["small portions", "one portion"])
@pytest.mark.parametrize("target", ["new", "over", "in place", "store"])
def test_a_repeat_inside_a_repeated_node_is_fetched_once(
    target: str, portion: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "PORTION_BYTES", portion)
    unit = noise(1, 40_000)
    block = unit + unit + noise(2, 200_000) + unit
    data = noise(3, 50_000) + block + noise(4, 30_000) + block + block
    if target in {"over", "in place"}:
        world.out.write_bytes(noise(5, 300_000))
    pulled = world.pull(target, data)
    assert len(world.server.asked) == len(set(world.server.asked))
    assert pulled.sources["repeat"] > len(data) // 2


@pytest.mark.parametrize("target", ["new", "over", "in place", "store"])
def test_a_repeat_of_what_a_lying_seed_should_have_given_is_right(
    target: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "PORTION_BYTES", 20_000)
    world.cut("first", FIRST)
    honest = Seeds.read

    def read(seeds: Seeds, number: int, offset: int, length: int) -> bytes:
        return LIES["other bytes"](honest(seeds, number, offset, length))

    monkeypatch.setattr(Seeds, "read", read)
    world.pull(target, FIRST + noise(4, 60_000) + FIRST + noise(4, 60_000))
    assert set(world.server.asked) <= set(world.server.objects(Kind.CHUNK))


def test_bases_are_chunks_that_a_seed_still_has(world: World) -> None:
    world.known("first", FIRST)
    ident = put(world.server, FIRST)
    row = world.store.recall(bytes(world.folder / "first"))
    assert row is not None
    assert row.manifest == ident
    changed = bytearray(FIRST)
    changed[50_000] ^= 1
    (world.folder / "first").write_bytes(changed)
    identity = identity_of((world.folder / "first").stat())
    world.store.commit(Batch(remember=[with_fields(row, identity=identity)]))
    endpoints = Endpoints(world.store, True, [world.store], [world.server])
    seeds = find_seeds.collect_seeds(
        outline_of(ident, world.store).params, endpoints, place=None, named=[], progress=SILENT
    )
    found = seeds.bases([(0, 45_000, 55_000), (0, 54_000, 60_000)])
    seeds.close()
    plains = [bytes(plain) for _, plain in found]
    assert 3 < len(plains) == len({chunk for chunk, _ in found})
    assert all(plain in FIRST for plain in plains)
    assert sum(map(len, plains)) > 8_000
