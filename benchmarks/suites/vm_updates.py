"""Updates of disk images by this command and by an earlier one, in turns."""

from __future__ import annotations

import filecmp
import shutil
import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.corpora.corpus import Pair
from benchmarks.corpora.registry import CORPORA
from benchmarks.measure import run
from benchmarks.peers.before import Before
from benchmarks.peers.contender import Mode, Place, Task
from benchmarks.peers.ours import Ours
from benchmarks.scene import Scene
from benchmarks.sheet import turns
from benchmarks.suites.transfer import publish

GIB = 1 << 30
REST_SECONDS = 2.5
WAYS = {"in place": Mode.IN_PLACE, "to a new file": Mode.COLD}


def measure_images(bench: Bench) -> None:
    """Adds updates of the vm corpus, from an old file that the store remembers."""
    corpus = CORPORA["vm"]
    sides: dict[str, Ours] = {bench.ours.name: bench.ours}
    if bench.choices.before is not None:
        sides[Before.name] = Before(bench.choices.before)
    for number, pair in enumerate(corpus.of(corpus.ready(bench.choices.scale))[:2]):
        with bench.scene(4 * GIB) as where:
            old, new = where.bring(pair.old, pair.new)
            places = {name: publish(bench, where, peer, old, new) for name, peer in sides.items()}
            for turn in range(bench.choices.rounds):
                for name in turns(sides, turn):
                    one_side(bench, where, pair, sides[name], places[name], cold=number == 0)


def one_side(
    bench: Bench, where: Scene, pair: Pair, peer: Ours, place: Place, *, cold: bool
) -> None:
    """All ways of one command."""
    for way, mode in WAYS.items():
        out = remembered(where, pair, peer, place, mode)
        task = Task(pair.new.stem, "", out, mode=mode)
        pull(bench, where, f"{pair.label}, remembered: {way}", peer, place, task, pair.new)
    if cold:
        shutil.rmtree(peer.receiver(place), ignore_errors=True)
        task = Task(pair.new.stem, "", where.target(".img"))
        pull(bench, where, f"{pair.label}: cold", peer, place, task, pair.new)


def remembered(where: Scene, pair: Pair, peer: Ours, place: Place, mode: Mode) -> Path:
    """Pulls the old file into the target or beside it; returns the target."""
    shutil.rmtree(peer.receiver(place), ignore_errors=True)
    out = where.target(".img")
    held = out if mode is Mode.IN_PLACE else out.with_name("held")
    with where.origin.serving(peer, place) as server:
        run(peer.pull(Task(pair.old.stem, server.url, held), place))
    time.sleep(REST_SECONDS)
    return out


def pull(
    bench: Bench, where: Scene, case: str, peer: Ours, place: Place, task: Task, new: Path
) -> None:
    """One measured pull, with the CPU time of the server."""
    with where.origin.serving(peer, place) as server:
        before = server.cpu()
        task = Task(task.stem, server.url, task.out, mode=task.mode)
        bench.measure(case, peer, peer.pull(task, place), where)
        bench.sheet.add(case, peer.name, server_cpu=server.cpu() - before)
    assert filecmp.cmp(task.out, new, shallow=False)
