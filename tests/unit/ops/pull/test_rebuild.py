"""A rebuild stops promptly and leaves no thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from casync.access.endpoints import Endpoints
from casync.access.outline import Outline
from casync.access.progress import SILENT
from casync.access.supply import Proved, StoreSupply, Supply, Wanted
from casync.errors import StoppedError
from casync.ids import Buffer, ChunkId, Kind, ManifestId, ObjectId, chunk_id, zero_chunk_id
from casync.limits import GIB, TIB
from casync.names.name import Ref
from casync.objects.codec import Packed, Packer, Verified
from casync.objects.manifest import Manifest
from casync.objects.node import NodeBuilder, Record, Run
from casync.ops.pull.rebuild import Rebuilder
from casync.ops.pull.wanted import PullOptions
from casync.ops.pull.work import Work
from casync.planning.delta_groups import MissingRun
from casync.planning.plan import PlanInput, plan
from casync.planning.portions import Contents, CopyPiece, Portion, portions
from casync.planning.windows import Place
from casync.store.base import Absence, Batch
from casync.store.memory import MemoryStore
from tests.support.pulling import PARAMS, MemoryServer, noise, pull_file, put
from tests.support.tree_objects import Objects


class Device:
    """An output on which zeros are written slowly."""

    resumed = True
    readable = True
    discards = False

    def __init__(self) -> None:
        self.zeroed: list[tuple[int, int]] = []
        self.rebuilder: Rebuilder | None = None

    def read(self, offset: int, length: int) -> bytes:
        return bytes(length)

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        raise AssertionError

    def zero(self, offset: int, length: int) -> None:
        self.zeroed.append((offset, length))
        if self.rebuilder is not None:
            self.rebuilder._stopped.set()

    def settle(self, end: int) -> None:
        pass


def hole(length: int) -> Outline:
    """The outline of a file that is one hole."""
    store = MemoryStore()
    nodes: list[Verified] = []
    builder = NodeBuilder(lambda _, node: nodes.append(Packer().pack_new(Kind.NODE, node)))
    size = PARAMS.max_size
    builder.add(Run(zero_chunk_id(size), size, length // size))
    content = builder.finish()
    store.commit(Batch(nodes))
    return Outline(ManifestId(bytes(32)), Manifest("file", PARAMS, content), store)


def rebuilder(outline: Outline, output: Device, *supplies: Supply) -> Rebuilder:
    """Rebuilds a content without seeds."""
    contents = Contents(outline.node, PARAMS.max_size)
    contents.add(0, outline.content)
    given = PlanInput(lambda: [(0, outline.content)], outline.nodes, outline.encoded, PARAMS)
    work = Work(
        portions=portions(plan(given), contents, trusted=None, repeats=True),
        length=outline.length,
        hole=PARAMS.max_size,
        part=outline.part,
        read_seed=no_seed,
        supplies=supplies,
        kept_label="in place",
    )
    return Rebuilder(work, output, workers=1, progress=SILENT)


def no_seed(number: int, offset: int, length: int) -> bytes:
    raise AssertionError


def test_a_large_hole_of_a_device_is_zeroed_step_by_step() -> None:
    device = Device()
    given = rebuilder(hole(TIB), device).run()
    assert given == {"zero": TIB}
    assert sum(length for _, length in device.zeroed) == TIB
    assert max(length for _, length in device.zeroed) <= GIB


def test_a_stop_does_not_wait_for_the_end_of_a_hole() -> None:
    device = Device()
    device.rebuilder = rebuilder(hole(TIB), device)
    with pytest.raises(StoppedError):
        device.rebuilder.run()
    assert len(device.zeroed) == 1


class Stalling(MemoryServer):
    """A server that does not answer for chunks until its connections are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.hung_up = threading.Event()
        self.waiting = threading.Event()

    def get(self, kind: Kind, ids: Sequence[ObjectId]) -> Iterator[Packed | Absence]:
        if kind is Kind.CHUNK:
            self.waiting.set()
            self.hung_up.wait()
            raise StoppedError("stopped")
        yield from super().get(kind, ids)

    def close(self) -> None:
        self.hung_up.set()


@pytest.mark.parametrize("target", ["file", "store"])
def test_ctrl_c_hangs_up_and_leaves_no_thread(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, store = Stalling(), MemoryStore()
    ident = put(server, noise(1, 50_000))

    def interrupt(*_: object) -> None:
        assert server.waiting.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(Rebuilder, "_settle", interrupt)
    endpoints = Endpoints(store, True, [store], [server])
    before = set(threading.enumerate())
    out = tmp_path / "out" if target == "file" else None
    with pytest.raises(KeyboardInterrupt):
        pull_file(Ref(manifest=ident), out, endpoints, PullOptions())
    assert set(threading.enumerate()) <= before
    assert list(tmp_path.iterdir()) == []
    assert store.manifest(ident) is None


class Memory(Device):
    """An output in memory that counts reads."""

    resumed = False

    def __init__(self, length: int) -> None:
        super().__init__()
        self.data = bytearray(length)
        self.reads = 0

    def read(self, offset: int, length: int) -> bytes:
        self.reads += 1
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        data = b"".join(buffers)
        self.data[offset : offset + len(data)] = data


def test_what_repeats_often_is_read_once() -> None:
    data = bytes(range(128)) * 64
    objects = Objects()
    content = objects.crumbs(data)
    store = MemoryStore()
    for ident, plain in objects.plain.items():
        kind = Kind.NODE if plain.startswith(b"CASN") else Kind.CHUNK
        store.commit(Batch([Packer().pack(kind, ident, plain)]))
    outline = Outline(ManifestId(bytes(32)), Manifest("file", PARAMS, content), store)
    output = Memory(len(data))
    given = rebuilder(outline, output, StoreSupply(store)).run()
    assert output.data == data
    assert given == {"local store": 128, "repeat": len(data) - 128}
    assert output.reads == 2  # of the first period, and of four periods, which a node repeats


class Waited:
    """A supply that travels, and tells when it is asked."""

    label = "server"
    is_store = False
    travels = True

    def __init__(self, plain: bytes) -> None:
        self.asked = threading.Event()
        self.plain = plain

    def supply(self, wanted: Wanted, runs: Sequence[MissingRun]) -> Iterator[Sequence[Proved]]:
        self.asked.set()
        for ident in wanted:
            yield [Proved(ident, self.plain)]

    def plan(self, wanted: Wanted) -> dict[ChunkId, int]:
        return {}

    def damaged(self, ident: ChunkId) -> Sequence[str]:
        return ()

    def stop(self) -> None:
        pass


def test_chunks_of_later_portions_are_fetched_before_earlier_ones_are_copied() -> None:
    old, new = bytes(1000), b"new" * 100
    copied = Record(chunk_id(old), len(old))
    fetched = Place(1000, chunk_id(new), len(new))
    server = Waited(new)

    def read_seed(number: int, offset: int, length: int) -> bytes:
        assert server.asked.wait(60)
        return old

    work = Work(
        portions=[
            Portion(0, 0, 1000, copies=[CopyPiece(0, 0, 0, [copied], 1000)]),
            Portion(1, 1000, 1300, missing=[MissingRun([fetched], None, None)]),
        ],
        length=1300,
        hole=PARAMS.max_size,
        part=lambda offset, length: "",
        read_seed=read_seed,
        supplies=[server],
    )
    output = Memory(1300)
    given = Rebuilder(work, output, workers=1, progress=SILENT).run()
    assert output.data == old + new
    assert given == {"seed": 1000, "server": 300}
