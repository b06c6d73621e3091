"""The cost of syncing to disk: the same commands on a disk and on tmpfs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.corpora.registry import CORPORA
from benchmarks.peers.borg import Borg
from benchmarks.peers.casync_c import CasyncC
from benchmarks.peers.contender import Mode, Task
from benchmarks.peers.ours import Ours
from benchmarks.peers.restic import Restic
from benchmarks.scene import Scene

GIB = 1 << 30


def measure(bench: Bench) -> None:
    """Fills the sheet."""
    bench.sheet.note(
        "durability: on the disk every commit of ours is synced before it is acknowledged, as"
        " always; casync (C) syncs nothing, borg and restic sync what they store. Sources are in"
        " the page cache"
    )
    corpus = CORPORA["vm"]
    folder = corpus.ready(bench.choices.scale)
    for on_disk, name in ((False, "tmpfs"), (True, "disk")):
        with bench.scene(4 * GIB, on_disk=on_disk) as where:
            old, new = where.bring(*(folder / name for name in corpus.files[:2]))
            for _ in range(bench.choices.rounds):
                one_round(bench, where, name, old, new)
            for peer in bench.some(CasyncC, Borg, Restic):
                place = where.place(peer)
                bench.quietly(peer.setup(place))
                bench.measure(f"prepare: {name}", peer, peer.prepare(old, place), where)
                where.clear(place)


def one_round(bench: Bench, where: Scene, name: str, old: Path, new: Path) -> None:
    """Prepare of both versions; a cold pull of the first, then the second in its place."""
    ours: Ours = bench.ours
    place = where.place(ours)
    bench.measure(f"prepare: {name}", ours, ours.prepare(old, place), where)
    bench.measure(f"prepare, updated: {name}", ours, ours.prepare(new, place), where)
    out = where.target(".img")
    with where.origin.serving(ours, place) as server:
        cold = Task(old.stem, server.url, out)
        bench.measure(f"pull, cold: {name}", ours, ours.pull(cold, place), where)
        update = Task(new.stem, server.url, out, None, Mode.IN_PLACE)
        bench.measure(f"pull, in place: {name}", ours, ours.pull(update, place), where)
    where.clear(place)
