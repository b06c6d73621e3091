"""How time and memory grow from 1 to 8 GiB."""

from __future__ import annotations

import os
import random
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.corpora.corpus import MIB
from benchmarks.memory import Sampler
from benchmarks.peers.contender import Task
from benchmarks.scene import Scene

GIB = 1 << 30
SIZES = (1, 2, 4, 8)
HALF = bytes(value & 1 for value in range(256))
"""A table that leaves one bit of each byte."""


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        "sizes: a seeded stream of random bits, a bit in each byte, which zstd makes an eighth of;"
        " files and stores on a disk and in the page cache, where maps of the store are not counted"
        " as memory, targets on tmpfs; RssAnon + RssShmem of all processes of a command are sampled"
        " every 50 ms"
    )
    largest = max(1, round(max(SIZES) * bench.choices.scale))
    with bench.scene(on_disk=True) as where, bench.scene(largest * GIB) as targets:
        path = where.files / "growth.bin"
        stream(path, largest * GIB)
        for gib in sorted((size for size in SIZES if size <= largest), reverse=True):
            os.truncate(path, gib * GIB)
            grow(bench, where, path, gib, targets.target(".bin"))


def grow(bench: Bench, where: Scene, path: Path, gib: int, out: Path) -> None:
    """One size."""
    ours = bench.ours
    place = where.place(ours)
    case = f"{gib} GiB"
    bench.measure(f"prepare: {case}", ours, ours.prepare(path, place), where, sample=True)
    with where.origin.serving(ours, place) as server:
        task = Task(path.stem, server.url, out)
        sampler = Sampler(server.process)
        sampler.start()
        bench.measure(f"pull: {case}", ours, ours.pull(task, place), where, sample=True)
        sampler.stop()
        bench.sheet.add(f"pull: {case}", ours.name, server_memory=sampler.memory)
    where.clear(place)


def stream(path: Path, size: int) -> None:
    """Writes bytes that compress to an eighth."""
    maker = random.Random(20260103)
    with path.open("wb") as file:
        for _ in range(size // (16 * MIB)):
            file.write(maker.randbytes(16 * MIB).translate(HALF))
