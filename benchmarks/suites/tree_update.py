"""A folder of many files of which few changed, pulled over its old copy.

The first update after a whole pull relies on what that noted while it wrote: a case of its own.
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measure import Command, run
from benchmarks.peers.contender import Task

FILES = 100_000
CHANGED = 10
IN_FOLDER = 100
REST_SECONDS = 2.5
DRY_RUN = "rsync -a --dry-run"


def measure_tree(bench: Bench) -> None:
    """Adds the cases of folders."""
    count = max(IN_FOLDER, round(FILES * bench.choices.scale))
    with bench.scene() as where:
        old, new = where.files / "old", where.files / "new"
        make(old, count)
        run(Command(("/bin/cp", "-a", old, new)))
        for number in range(CHANGED):
            path_of(new, number * (count // CHANGED)).write_text(f"changed {number}")
        ours = bench.ours
        place = where.place(ours)
        bench.quietly([ours.prepare(old, place), ours.prepare(new, place)])
        out = where.target("")
        for turn in range(bench.choices.rounds + 1):
            case = "folder" if turn else "folder, first update"
            with where.origin.serving(ours, place) as server:
                run(ours.pull(Task(old.name, server.url, out), place))
                time.sleep(REST_SECONDS)
                dry = Command(("/usr/bin/rsync", "-a", "--dry-run", f"{new}/", f"{out}/"))
                bench.measure(case, ours, dry, where, name=DRY_RUN)
                bench.measure(case, ours, ours.pull(Task(new.name, server.url, out), place), where)
            same(new, out)
        where.clear(place)


def make(folder: Path, count: int) -> None:
    """Writes files of some hundred bytes."""
    for number in range(count):
        path = path_of(folder, number)
        if number % IN_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_text(f"{number} " * 40)


def path_of(folder: Path, number: int) -> Path:
    """The path of a file."""
    return folder / f"{number // IN_FOLDER}" / f"{number}"


def same(one: Path, other: Path) -> None:
    """Compares two folders."""
    run(Command(("/usr/bin/diff", "-rq", one, other)))
