"""The targets of updates: what they cost follows what changed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.ratios import MIB, Target, against, figure, quotient
from benchmarks.sheet import OURS, Results

BEFORE = "casync, before"
"""The command of this project that pulled chunk by chunk, 0daa86c, if it was given."""

SPARSE = "sparse image, 1 % of its blocks changed, in place"
CHANGED = "three bytes changed among 2 million chunks"
FEW, MANY = (f"{mibs} MiB, 1KiB" for mibs in (256, 2048))
WAYS = ("in place", "over the old file", "named seed")
KINDS = (*WAYS, "cold", "to a stream", "into the store")


def update_targets() -> Iterator[Target]:
    """All targets of the suites `updates` and `sparse`."""
    place = f"in place: {MANY}"
    yield Target(f"{CHANGED}, in place", 1.0, False, figure("updates", place, "seconds"), "s")
    few = (f"in place: {FEW}", OURS)
    yield Target(
        f"{CHANGED}, in place: time, of that among 262,144",
        1.3,
        False,
        partial(quotient, suite="updates", above=(place, OURS), below=few),
    )
    for chunks, bound in (("16KiB", 2.0), ("1KiB", 4.0)):
        case = f"over the old file: 2048 MiB, {chunks}"
        yield Target(
            f"three bytes changed in 2 GiB, chunks of {chunks}, over the old file: time, of cp",
            bound,
            False,
            against("updates", case, "cp --sparse=always"),
        )
    yield Target(
        "three bytes changed in 2 GiB, unknown seed: time, of prepare --reread",
        2.0,
        False,
        against("updates", "named seed: 2048 MiB, 16KiB", f"{OURS} prepare --reread"),
    )
    for way in WAYS:
        received = figure("updates", f"{way}: {MANY}", "received")
        yield Target(f"{CHANGED}, {way}: bytes received", 65_536, False, received, "B")
    for kind in KINDS:
        yield from _memory(kind)
    for label, way, bound in (
        ("vm, updated in place", "in place", 0.36),
        ("vm, updated in place", "to a new file", 0.6),
        ("vm, rebuilt", "in place", 0.53),
        ("vm, rebuilt", "to a new file", 0.52),
    ):
        case = f"{label}, remembered: {way}"
        yield Target(f"{case}: time, of 0daa86c", bound, False, against("updates", case, BEFORE))
    case = "vm, updated in place: cold"
    yield Target(f"{case}: CPU of both sides, of 0daa86c", 0.7, False, partial(_cpu, case))
    yield Target(
        "folder of 100,000 files, 10 changed, over the old copy: time, of rsync -a --dry-run",
        1.5,
        False,
        against("updates", "folder", "rsync -a --dry-run"),
    )
    memory = partial(_mibs, figure("sparse", SPARSE, "memory"))
    yield Target(f"memory, {SPARSE}", 256, False, memory, "MiB")


def _memory(kind: str) -> Iterator[Target]:
    least, most = (figure("updates", f"memory, {kind}: {label}", "memory") for label in (FEW, MANY))

    def growth(all_: Results) -> float | None:
        few, many = least(all_), most(all_)
        return many / few if few and many is not None else None

    yield Target(f"memory, {CHANGED}, {kind}", 256, False, partial(_mibs, most), "MiB")
    yield Target(f"memory, {CHANGED}, {kind}: of 262,144 chunks", 1.15, False, growth)


def _mibs(value: Callable[[Results], float | None], all_: Results) -> float | None:
    count = value(all_)
    return None if count is None else count / MIB


def _cpu(case: str, all_: Results) -> float | None:
    if "updates" not in all_:
        return None
    sides: list[float] = []
    for name in (OURS, BEFORE):
        client, server = (all_["updates"].get(case, name, what) for what in ("cpu", "server_cpu"))
        if client is None or server is None:
            return None
        sides.append(client + server)
    return sides[0] / sides[1]
