"""Runs suites and writes their results. `make bench` runs all suites.

`python -m benchmarks.run --suite prepare` runs one again; RESULTS.md is made from the stored
figures of all.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from benchmarks import machine
from benchmarks.bench import Bench, Choices
from benchmarks.corpora.registry import CORPORA
from benchmarks.peers.ours import Ours
from benchmarks.plots import draw
from benchmarks.report import render
from benchmarks.results import FOLDER, stored
from benchmarks.roster import gather
from benchmarks.scene import MEMORY
from benchmarks.sheet import Sheet
from benchmarks.suites import (
    archives,
    buckets,
    cpus,
    downloads,
    durability,
    memory,
    prepare,
    pullers,
    resume,
    shards,
    sites,
    sizes,
    slow,
    small,
    sparse,
    transfer,
    updates,
)

NEEDED_BYTES = 10 << 30
ON_DISK = frozenset({"sparse"})
"""Suites that need nothing on tmpfs."""

SUITES: dict[str, Callable[[Bench], None]] = {
    "prepare": prepare.measure,
    "transfer": transfer.measure,
    "updates": updates.measure,
    "sparse": sparse.measure,
    "downloads": downloads.measure,
    "shards": shards.measure,
    "archives": archives.measure,
    "sites": sites.measure,
    "buckets": buckets.measure,
    "resume": resume.measure,
    "slow": slow.measure,
    "small": small.measure,
    "sizes": sizes.measure,
    "memory": memory.measure,
    "cpus": cpus.measure,
    "pullers": pullers.measure,
    "durability": durability.measure,
}


def main() -> int:
    """Runs the chosen suites; returns the exit status."""
    signal.signal(signal.SIGTERM, stop)
    # Otherwise Python compiles the sources of an editable installation at each start, which users
    # of an installed program do not experience.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    options = parse()
    if options.render:
        publish(options.results)
        return 0
    there, missing, absent = gather(Ours(options.delta, options.casync))
    for reason in absent:
        print(f"not taking part: {reason}", file=sys.stderr)
    if missing and not options.without:
        for reason in missing:
            print(reason, file=sys.stderr)
        print("or run without them: --without-missing", file=sys.stderr)
        return 1
    if options.only:
        there = [peer for peer in there if isinstance(peer, Ours) or peer.name in options.only]
    in_memory = not ON_DISK.issuperset(options.suite or SUITES)
    if in_memory and shutil.disk_usage(options.memory).free < NEEDED_BYTES * options.scale:
        print(f"{options.memory} needs {NEEDED_BYTES >> 30} GiB free, or --scale", file=sys.stderr)
        return 1
    corpora = tuple(CORPORA[name] for name in options.corpora or CORPORA)
    choices = Choices(
        options.scale, options.rounds, options.memory, options.disk, corpora, options.before
    )
    about = machine.about(options.casync) | {"scale": f"{options.scale:g}"}
    for peer in there:
        peer.prove()
        about[peer.name] = about["commit"] if isinstance(peer, Ours) else peer.found.version
    failed = 0
    for name in options.suite or SUITES:
        print(f"== {name}", flush=True)
        begin = time.monotonic()
        sheet = Sheet(name, dict(about))
        try:
            SUITES[name](Bench(choices, there, sheet))
        except Exception as error:
            failed = 1
            traceback.print_exc()
            sheet.note(f"This suite did not come to its end: {type(error).__name__}")
        sheet.about["took"] = f"{time.monotonic() - begin:.0f} s"
        options.results.mkdir(parents=True, exist_ok=True)
        (options.results / f"{name}.json").write_text(sheet.to_json())
        publish(options.results)  # an interrupted run loses at most one suite
    return failed


def publish(folder: Path) -> None:
    """Draws the plots and writes RESULTS.md from all stored results, beside their folder."""
    results = stored(folder)
    draw(results, folder.parent / "plots")
    out = folder.parent / "RESULTS.md"
    remarks = folder / "remarks.md"
    said = remarks.read_text() if remarks.exists() else ""
    out.write_text(render(results, stored(folder / "before"), said))
    print(out)


def stop(number: int, _frame: object) -> NoReturn:
    """Handles a signal like an error: stops servers, removes folders."""
    raise SystemExit(128 + number)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="casync against its peers")
    parser.add_argument("--suite", action="append", choices=SUITES, help="repeatable; default: all")
    parser.add_argument("--render", action="store_true", help="write RESULTS.md, run nothing")
    parser.add_argument(
        "--corpora", action="append", choices=CORPORA, help="repeatable; default: all"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="size of corpora; 1 is full")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions; medians are shown")
    parser.add_argument("--only", action="append", metavar="NAME", help="a peer; repeatable")
    parser.add_argument("--without-missing", dest="without", action="store_true")
    parser.add_argument("--delta", default="auto", choices=["auto", "always", "never", "none"])
    parser.add_argument("--casync", type=Path, help="measure another command of this project")
    parser.add_argument("--before", type=Path, help="an earlier one, to compare updates with")
    parser.add_argument("--memory", type=Path, default=MEMORY, help="a folder on tmpfs")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="one on a disk")
    parser.add_argument("--results", type=Path, default=FOLDER, help="where the JSON goes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
