"""Cases that should be almost free: small inputs, unchanged files, holes."""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.corpora.corpus import MIB
from benchmarks.corpora.registry import CORPORA
from benchmarks.scene import Scene, data_bytes, write_data

ROUNDS = 5
SETTLED_SECONDS = 2.3
HOLES = 0.7
GIB = 1 << 30


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    with bench.scene(2 * GIB) as where:
        small_inputs(bench, where)
    with bench.scene(2 * GIB) as where:
        unchanged(bench, where)
    with bench.scene(2 * GIB) as where:
        sparse(bench, where)


def small_inputs(bench: Bench, where: Scene) -> None:
    """1 KiB and 1 MiB, against a command that only starts and opens the store."""
    ours = bench.ours
    place = where.place(ours)
    store = ours.stored(place)
    maker = random.Random(7)
    files = {name: where.files / name for name in ("1 KiB", "1 MiB")}
    for size, path in zip((1024, MIB), files.values(), strict=True):
        path.write_bytes(maker.randbytes(size))
        bench.quietly([ours.prepare(path, place)])
    for _ in range(ROUNDS):
        bench.measure("small: start-up", ours, ours.command(store, "ls"), where)
        for name, path in files.items():
            path.write_bytes(maker.randbytes(path.stat().st_size))
            bench.measure(f"small: {name}", ours, ours.prepare(path, place), where)
    for name, path in files.items():
        path.write_bytes(maker.randbytes(path.stat().st_size))
        bench.measure(
            f"small: {name}, processes", ours, ours.prepare(path, place), where, sample=True
        )


def unchanged(bench: Bench, where: Scene) -> None:
    """A known file, by name and as stdin, and the cost of --reread."""
    ours = bench.ours
    place = where.place(ours)
    corpus = CORPORA["vm"]
    (image,) = where.bring(corpus.ready(bench.choices.scale) / corpus.files[0])
    little = where.files / "little.bin"
    little.write_bytes(random.Random(8).randbytes(16 * MIB))
    time.sleep(SETTLED_SECONDS)
    for path in (image, little):
        bench.quietly([ours.prepare(path, place)])
    store = ours.stored(place)
    for _ in range(ROUNDS):
        for path, name in ((image, "3 GiB"), (little, "16 MiB")):
            bench.measure(f"unchanged: {name}", ours, ours.prepare(path, place), where)
        piped = replace(ours.command(store, "-q", "prepare"), stdin=image)
        bench.measure("unchanged: 3 GiB, as < file", ours, piped, where)
    again = ours.command(store, "-q", "prepare", image, "--reread")
    bench.measure("unchanged: 3 GiB, --reread", ours, again, where)


def sparse(bench: Bench, where: Scene) -> None:
    """The same data without holes, and with holes of 70 % of the length."""
    ours = bench.ours
    corpus = CORPORA["vm"]
    image = corpus.ready(bench.choices.scale) / corpus.files[0]
    dense = write_data(image, where.files / "dense.img")
    holed = spread(dense, where.files / "holed.img", HOLES)
    bench.sheet.add(
        "sparse: data",
        ours.name,
        dense=dense.stat().st_size,
        holed=holed.stat().st_size,
        holed_data=data_bytes(holed),
    )
    for _ in range(bench.choices.rounds):
        for path, name in ((dense, "no holes"), (holed, "70 % holes")):
            place = where.place(ours)
            bench.measure(f"sparse: {name}", ours, ours.prepare(path, place), where)
            where.clear(place)


def spread(source: Path, target: Path, holes: float) -> Path:
    """Copies a file in pieces of 4 MiB with holes between them."""
    piece = 4 * MIB
    step = round(piece / (1 - holes)) // 4096 * 4096
    with source.open("rb") as reader, target.open("wb") as writer:
        at = 0
        while data := reader.read(piece):
            os.pwrite(writer.fileno(), data, at)
            at += step
        writer.truncate(at)
    return target
