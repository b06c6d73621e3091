"""Prepare on one CPU and on two."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.corpora.registry import CORPORA

GIB = 1 << 30


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    weights = CORPORA["weights"]
    images = CORPORA["vm"]
    sources = {
        "vm": images.ready(bench.choices.scale) / images.files[0],
        "incompressible": weights.ready(bench.choices.scale) / weights.files[0],
    }
    ours = bench.ours
    with bench.scene(4 * GIB) as where:
        for name, source in sources.items():
            (path,) = where.bring(source)
            for _ in range(bench.choices.rounds):
                for count in (1, 2):
                    place = where.place(ours)
                    command = ours.prepare(path, place)
                    if count == 1:
                        command = command.on_one_cpu()
                    bench.measure(f"prepare, {name}: {count} CPU", ours, command, where)
                    where.clear(place)
