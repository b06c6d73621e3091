"""The targets, as ratios within one run, and their results. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.ratios import (
    MIB,
    Target,
    against,
    figure,
    of_the_fastest,
    pull,
    quotient,
    times,
    total_bytes,
    wire,
)
from benchmarks.sheet import OURS, Results
from benchmarks.update_targets import update_targets

__all__ = ["LOCAL", "Target", "targets", "total_bytes"]

CASYNC = "casync (C)"
RCLONE = "rclone"
ARIA2 = "aria2c"
CURL = "curl, whole file"
LOCAL = f"{OURS}, prepare of local copies"
PLAIN = f"{OURS}, plain"
DELTAS = f"{OURS}, deltas"
IN_PLACE = "vm, updated in place"
REBUILT = "vm, rebuilt"
BOTH = "vm, updated and rebuilt"


def targets() -> Iterator[Target]:
    """All targets, in the order of the table."""
    for case, peer, bound in (
        ("vm: new", CASYNC, 5.0),
        ("vm: new", "borg", 1.7),
        ("vm: new", "restic", 2.0),
        ("vm: new", "desync", 2.0),
        ("weights: new", "borg", 1.15),
        ("vm: known, touched", CASYNC, 12.0),
        ("vm: known, touched", "borg", 2.0),
    ):
        yield Target(f"prepare, {case}: faster than {peer}", bound, True, times(case, peer))
    for name in ("3 GiB", "3 GiB, as < file"):
        case = f"unchanged: {name}"
        yield Target(f"prepare, {case}", 0.3, False, figure("small", case, "seconds"), "s")
    yield Target(
        "prepare, 70 % holes: time, of that of the same data without holes",
        1.15,
        False,
        lambda all_: quotient(
            all_, "small", ("sparse: 70 % holes", OURS), ("sparse: no holes", OURS)
        ),
    )
    for name in ("1 KiB", "1 MiB"):
        yield Target(f"prepare, {name}: beyond start-up", 0.1, False, _beyond(name), "s")
        processes = figure("small", f"small: {name}, processes", "processes")
        yield Target(f"prepare, {name}: processes", 1, False, processes, "")
    for name in ("vm", "incompressible"):
        yield Target(f"prepare, {name}: two CPUs faster than one", 1.6, True, _two_cpus(name))
    cold, seed, place = (f"{IN_PLACE}: {mode}" for mode in ("cold", "seed", "in place"))
    yield Target(f"cold pull: faster than {CASYNC}", 4.0, True, pull(cold, CASYNC))
    yield Target("cold pull: faster than desync", 2.0, True, pull(cold, "desync"))
    yield Target(f"cold pull: time, of {CURL}", 0.5, False, pull(cold, CURL, turned=True))
    yield Target(f"delta pull, seed: faster than {CASYNC}", 8.0, True, pull(seed, CASYNC))
    yield Target(
        "delta pull in place, seed remembered: time, of b3sum of the old data + wire bytes at the"
        " loopback rate + 0.3 s",
        2.0,
        False,
        lambda all_: _in_place(all_, place),
    )
    yield Target(
        "cold pull, 1 GiB incompressible: time, of curl to a file",
        1.6,
        False,
        pull("weights: cold", CURL, turned=True),
    )
    yield from _downloads()
    yield from _shards()
    yield from _sites()
    yield from _buckets()
    yield from _bytes()
    yield Target("32 pullers at once: rate, of one", 0.8, True, _together)
    failures = figure("pullers", "32 at once", "health_failures")
    yield Target("32 pullers at once: /healthz unanswered", 0, False, failures, "")
    for label in (IN_PLACE, REBUILT):
        link = f"100 Mbit/s, 40 ms, {label}"
        for name, kind in ((PLAIN, "plain chunks"), (OURS, "auto")):
            what = f"{link}, {kind}: time, of bytes / bandwidth + 5 round trips"
            yield Target(what, 1.15, False, _slow(label, name))
        what = f"{link}: time with deltas where they pay, of that without"
        sides = (label, OURS), (label, PLAIN)
        yield Target(
            what, 1.0, False, partial(quotient, suite="slow", above=sides[0], below=sides[1])
        )
    yield from update_targets()
    for verb, most, growth in (("prepare", 400, 1.1), ("pull", 256, 1.15)):
        yield Target(f"memory of {verb}, 8 GiB", most, False, _memory(verb), "MiB")
        yield Target(f"memory of {verb}: 8 GiB, of 1 GiB", growth, False, _memory_growth(verb))


def _downloads() -> Iterator[Target]:
    for files in ("200 files of 5 MB", "20,000 files of 20 KB"):
        yield Target(
            f"download, {files}: time, of the faster one of {RCLONE} and {ARIA2}",
            1.2,
            False,
            of_the_fastest("downloads", f"new: {files}", (RCLONE, ARIA2)),
        )
        yield Target(
            f"download, {files}, nothing new: time, of {RCLONE}",
            1.0,
            False,
            against("downloads", f"again: {files}", RCLONE),
        )

    large = "new: 200 files of 5 MB"
    yield Target(
        "download, 200 files of 5 MB: CPU, of prepare of local copies",
        1.15,
        False,
        partial(
            quotient, suite="downloads", above=(large, OURS), below=(large, LOCAL), measure="cpu"
        ),
    )


def _shards() -> Iterator[Target]:
    tar, samples = "1,000 of 10,000 members: tar", "WebDataset, 8 shards of 64 MB"
    for what, bound, case, peer in (
        ("1,000 members of a tar of 1 GB: faster than a range scan", 100.0, tar, "range scan"),
        ("WebDataset over shards in a store: rate, of local files", 0.8, samples, "local files"),
    ):
        sides = (case, peer), (case, OURS)
        yield Target(
            what, bound, True, partial(quotient, suite="shards", above=sides[0], below=sides[1])
        )


def _sites() -> Iterator[Target]:
    cold, update, publish = (
        "cold, the last of ten versions",
        "update of 2 %",
        "publish of 2 %",
    )
    server = f"{OURS}, casync serve"
    for case in (cold, update):
        what = f"static site, {case}"
        yield Target(f"{what}: bytes, of those needed", 1.15, False, _of_needed(case))
    yield Target(
        f"static site, {cold}: requests", 430, False, figure("sites", cold, "requests"), ""
    )
    yield Target(
        f"static site, {cold}: time, of casync serve", 1.3, False, against("sites", cold, server)
    )
    for what, case, step, most in (
        ("requests beyond one for 4 MiB", update, 4 * MIB, 10.0),
        ("objects written beyond one for 16 MiB", publish, 16 * MIB, 5.0),
    ):
        yield Target(f"static site, {case}: {what}", most, False, _requests(case, step), "")


def _buckets() -> Iterator[Target]:
    for server in ("versitygw", "Ceph"):
        sides = (f"new: {server}", RCLONE), (f"new: {server}", OURS)
        yield Target(
            f"prepare into {server}, new: rate, of rclone copy",
            0.8,
            True,
            partial(quotient, suite="buckets", above=sides[0], below=sides[1]),
        )
        yield Target(
            f"prepare into {server}, known: time, of the same on LMDB",
            1.3,
            False,
            against("buckets", f"known: {server}", f"{OURS}, LMDB"),
        )


def _bytes() -> Iterator[Target]:
    for variant, name, bounds in (
        (PLAIN, "plain chunks", (1.15, 2.2, 2.2)),
        (DELTAS, "deltas", (0.88, 0.92, 0.91)),
    ):
        for label, bound in zip((IN_PLACE, REBUILT, BOTH), bounds, strict=True):
            value = wire(f"{label}: seed", variant, "xdelta3")
            yield Target(f"bytes, {name}, {label}: of xdelta3", bound, False, value)
    for label in (REBUILT, BOTH):
        value = wire(f"{label}: seed", PLAIN, CASYNC)
        yield Target(f"bytes, plain chunks, {label}: of {CASYNC}", 0.65, False, value)
    for label in (IN_PLACE, REBUILT, BOTH):
        yield Target(
            f"manifest bytes with deltas, {label}: of 32 bytes x new chunks",
            1.4,
            False,
            _manifest(f"{label}: seed"),
        )


def _of_needed(case: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        if "sites" not in all_:
            return None
        got, needed = (all_["sites"].get(case, OURS, what) for what in ("received", "needed"))
        return got / needed if got is not None and needed else None

    return value


def _requests(case: str, step: int) -> Callable[[Results], float | None]:
    """Requests beyond one for each `step` bytes that were needed."""

    def value(all_: Results) -> float | None:
        if "sites" not in all_:
            return None
        made, needed = (all_["sites"].get(case, OURS, what) for what in ("requests", "needed"))
        return made - needed / step if made is not None and needed is not None else None

    return value


def _beyond(name: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        start, whole = (
            figure("small", f"small: {what}", "seconds")(all_) for what in ("start-up", name)
        )
        return None if start is None or whole is None else whole - start

    return value


def _two_cpus(name: str) -> Callable[[Results], float | None]:
    one, two = ((f"prepare, {name}: {count} CPU", OURS) for count in (1, 2))
    return lambda all_: quotient(all_, "cpus", one, two)


def _in_place(all_: Results, case: str) -> float | None:
    sheet = all_.get("transfer")
    if sheet is None:
        return None
    seconds = sheet.get(case, OURS, "seconds")
    hashing = sheet.get(f"{IN_PLACE}: hash the old data", "b3sum", "seconds")
    loopback = f"{IN_PLACE}: loopback"
    whole = sheet.get(loopback, CURL, "seconds")
    size = sheet.get(loopback, CURL, "received")
    wire = total_bytes(sheet, case, OURS)
    if seconds is None or hashing is None or whole is None or not size or wire is None:
        return None
    return seconds / (hashing + wire * whole / size + 0.3)


def _manifest(case: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        if "transfer" not in all_:
            return None
        size = all_["transfer"].get(case, DELTAS, "manifest")
        chunks = all_["transfer"].get(case, DELTAS, "new_chunks")
        return size / (32 * chunks) if size is not None and chunks else None

    return value


def _together(all_: Results) -> float | None:
    one, many = (figure("pullers", f"{n} at once", "rate")(all_) for n in (1, 32))
    return many / one if one and many is not None else None


def _slow(label: str, name: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        if "slow" not in all_:
            return None
        seconds, least = (all_["slow"].get(label, name, m) for m in ("seconds", "least_seconds"))
        return seconds / least if seconds is not None and least else None

    return value


def _memory(verb: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        peak = figure("sizes", f"{verb}: 8 GiB", "memory")(all_)
        return None if peak is None else peak / MIB

    return value


def _memory_growth(verb: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        least, most = (figure("sizes", f"{verb}: {n} GiB", "memory")(all_) for n in (1, 8))
        return most / least if least and most is not None else None

    return value
