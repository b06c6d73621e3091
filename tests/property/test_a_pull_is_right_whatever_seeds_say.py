"""Pulls of random contents from random seeds: right, and each missing chunk is fetched once."""

from __future__ import annotations

import io
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from casync.fs.identity import identity_of
from casync.fs.target import part
from casync.fs.target.in_place import InPlaceFile
from casync.fs.target.part import PartFile
from casync.ids import ManifestId
from casync.ops.pull.seeds import Seeds
from casync.planning import plan, portions
from casync.store.base import Batch, ManifestState, RememberedFile
from casync.store.memory import MemoryStore
from tests.support.pulling import MemoryServer, chunk_ids, noise, outline_of, put, run

BLOCK = 512
BLOCKS = [noise(number, 3_000 + number * 97 % 5_000) for number in range(60)]


def mixed(rng: random.Random, base: list[bytes]) -> list[bytes]:
    """What a few edits make of a list of blocks."""
    blocks = list(base)
    for _ in range(rng.randrange(1, 6)):
        at, size = rng.randrange(len(blocks) + 1), rng.randrange(1, 12)
        place = rng.randrange(len(blocks) + 1)
        block = blocks[at : at + size]
        edit = rng.randrange(7)
        if edit == 0:
            del blocks[at : at + size]
            blocks[place:place] = block
        elif edit == 1:
            blocks[place:place] = block * rng.randrange(1, 5)
        elif edit == 2:
            blocks[at:at] = [noise(rng.randrange(10**6), rng.randrange(1, 9_000))]
        elif edit == 3:
            del blocks[at : at + size]
        elif edit == 4:
            blocks[at : at + size] = reversed(block)
        elif edit == 5:
            blocks[at : at + size] = [noise(rng.randrange(10**6), len(one)) for one in block]
        else:
            blocks[at:at] = [bytes(rng.choice([100, 4_096, 50_000]))]
    return blocks


class World:
    """A receiver with seeds, and a server with the new content."""

    def __init__(self, rng: random.Random, folder: Path) -> None:
        self.server, self.store = MemoryServer(), MemoryStore()
        self.folder = folder
        self.rng = rng
        base = [rng.choice(BLOCKS) for _ in range(rng.randrange(1, 60))]
        self.new = b"".join(mixed(rng, base))
        self.named: list[Path] = []
        self.contents: dict[Path, bytes] = {}
        for number in range(rng.randrange(3)):
            self._seed(folder / str(number), b"".join(mixed(rng, base)), named=True)
        if rng.random() < 0.8:
            self._seed(folder / "out", b"".join(mixed(rng, base)), named=False)

    def _seed(self, path: Path, data: bytes, *, named: bool) -> None:
        path.write_bytes(data)
        self.contents[path] = data
        if named:
            self.named.append(path)
        if self.rng.random() < 0.6:
            ident = put(self.server, data)
            outline_of(ident, self.store, [self.server])
            kept = [(ident, ManifestState.OUTLINE, len(data))]
            settled = self.rng.random() < 0.5
            row = RememberedFile(bytes(path), identity_of(path.stat()), ident, settled=settled)
            self.store.commit(Batch(manifests=kept, remember=[row]))

    def pull(self, target: str) -> ManifestId:
        """Pulls to a target and checks the result."""
        ident = put(self.server, self.new)
        self.server.asked.clear()
        out = self.folder / "out"
        stream = io.BytesIO()
        output: Path | io.BytesIO | None = {"stream": stream, "store": None}.get(target, out)
        pulled = run(
            ident,
            output,
            self.server,
            self.store,
            seeds=tuple(self.named),
            in_place=target == "in place",
            cache=target != "store" and self.rng.random() < 0.2,
        )
        assert sum(pulled.sources.values()) == len(self.new)
        if isinstance(output, Path):
            assert out.read_bytes() == self.new
        elif output is not None:
            assert stream.getvalue() == self.new
        else:
            other = self.folder / "other"
            run(ident, other, MemoryServer(), self.store)
            assert other.read_bytes() == self.new
        return ident


@contextmanager
def small_steps(rng: random.Random) -> Iterator[pytest.MonkeyPatch]:
    """Contents of a few kilobytes have many parts, portions and pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portions, "PORTION_BYTES", rng.choice([5_000, 40_000, 1 << 24]))
        patch.setattr(portions, "_COPY_BYTES", rng.choice([3_000, 1 << 20]))
        patch.setattr(plan, "_FIRST_CHUNKS", rng.choice([8, 100, 1 << 13]))
        patch.setattr(plan, "_TOGETHER", rng.choice([1, 3, 256]))
        yield patch


TARGETS = st.sampled_from(["file", "in place", "stream", "store"])


@given(st.integers(0, 10**9), TARGETS)
@example(1, "in place")  # pieces that begin at one offset and differ in length
@settings(max_examples=60, deadline=None)
def test_a_pull_is_right_and_fetches_nothing_that_a_seed_has(seed: int, target: str) -> None:
    rng = random.Random(seed)
    with small_steps(rng), tempfile.TemporaryDirectory() as folder:
        world = World(rng, Path(folder))
        ident = world.pull(target)
        if target != "stream":
            assert len(world.server.asked) == len(set(world.server.asked))
        assert set(world.server.asked) <= set(chunk_ids(world.server, ident))
        seeds = world.named + ([world.folder / "out"] if target in {"file", "in place"} else [])
        had = {one for path in seeds for one in chunks_of(world.contents.get(path, b""))}
        assert not had & set(world.server.asked)


@given(st.integers(0, 10**9), TARGETS)
@settings(max_examples=60, deadline=None)
def test_a_pull_is_right_when_every_seed_lies(seed: int, target: str) -> None:
    rng = random.Random(seed)
    with small_steps(rng) as patch, tempfile.TemporaryDirectory() as folder:
        world = World(rng, Path(folder))
        honest = Seeds.read

        def read(seeds: Seeds, number: int, offset: int, length: int) -> bytes:
            data = honest(seeds, number, offset, length)
            return rng.choice([bytes(len(data)), data[: len(data) // 2], data[1:] + b"x", data])

        patch.setattr(Seeds, "read", read)
        world.pull(target)


@given(st.integers(0, 10**9), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_new_file_is_right_whatever_blocks_it_shares(seed: int, seeds_lie: bool) -> None:
    """A seed that changes between the two looks at it gives other blocks than were expected."""
    rng = random.Random(seed)

    def clone(source_fd: int, source: int, fd: int, offset: int, length: int) -> bool:
        assert source % BLOCK == offset % BLOCK == length % BLOCK == 0
        if rng.random() < 0.2:
            return False
        data = os.pread(source_fd, length, source)
        assert len(data) == length
        if seeds_lie and rng.random() < 0.5:
            at = rng.randrange(length)
            data = data[:at] + rng.randbytes(min(5_000, length - at)) + data[at + 5_000 :]
        os.pwrite(fd, data, offset)
        return True

    def share(self: PartFile, fd: int, source: int, offset: int, length: int) -> range:
        self._block = BLOCK
        return honest(self, fd, source, offset, length)

    honest = PartFile.share
    with small_steps(rng) as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(part, "_LEAST_SHARED", 1)
        patch.setattr(part, "clone_range", clone)
        patch.setattr(PartFile, "share", share)
        world = World(rng, Path(folder))
        ident = world.pull("file")
        assert seeds_lie or len(world.server.asked) == len(set(world.server.asked))
        assert set(world.server.asked) <= set(chunk_ids(world.server, ident))


@given(st.integers(0, 10**9), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_a_pull_in_place_is_right_after_it_was_killed_at_any_write(seed: int, after: int) -> None:
    rng = random.Random(seed)
    with small_steps(rng) as patch, tempfile.TemporaryDirectory() as folder:
        world = World(rng, Path(folder))
        write = InPlaceFile.write
        left = after

        def killed(file: InPlaceFile, offset: int, buffers: list[bytes]) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            write(file, offset, buffers)

        patch.setattr(InPlaceFile, "write", killed)
        try:
            world.pull("in place")
        except KeyboardInterrupt:
            patch.setattr(InPlaceFile, "write", write)
            world.pull("in place")


def chunks_of(data: bytes) -> set[bytes]:
    server = MemoryServer()
    return set(chunk_ids(server, put(server, data)))
