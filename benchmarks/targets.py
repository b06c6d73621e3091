"""The targets, as ratios within one run, and their results. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from benchmarks.sheet import OURS, Results, Sheet

CASYNC = "casync (C)"
RCLONE = "rclone"
ARIA2 = "aria2c"
CURL = "curl, whole file"
PLAIN = f"{OURS}, plain"
DELTAS = f"{OURS}, deltas"
IN_PLACE = "vm, updated in place"
REBUILT = "vm, rebuilt"
BOTH = "vm, updated and rebuilt"
MIB = 1 << 20


@dataclass(frozen=True)
class Target:
    """A target.

    Attributes:
        what: What is measured.
        bound: The ratio or figure to reach.
        at_least: Whether more is better.
        value: Computes it from the sheets; None if it was not measured.
        unit: Unit of the figure.
    """

    what: str
    bound: float
    at_least: bool
    value: Callable[[Results], float | None]
    unit: str = "x"

    def met(self, results: Results) -> bool | None:
        """Whether it is reached; None if it was not measured."""
        value = self.value(results)
        if value is None:
            return None
        return value >= self.bound if self.at_least else value <= self.bound


def targets() -> Iterator[Target]:
    """All targets, in the order of the table."""
    for case, peer, bound in (
        ("vm: new", CASYNC, 5.0),
        ("vm: new", "borg", 1.7),
        ("vm: new", "restic", 2.0),
        ("vm: new", "desync", 2.0),
        ("vm: known, touched", CASYNC, 12.0),
        ("vm: known, touched", "borg", 2.0),
    ):
        yield Target(f"prepare, {case}: faster than {peer}", bound, True, _times(case, peer))
    for name in ("3 GiB", "3 GiB, as < file"):
        case = f"unchanged: {name}"
        yield Target(f"prepare, {case}", 0.3, False, _figure("small", case, "seconds"), "s")
    yield Target(
        "prepare, 70 % holes: time, of that of the same data without holes",
        1.15,
        False,
        lambda all_: _quotient(
            all_, "small", ("sparse: 70 % holes", OURS), ("sparse: no holes", OURS)
        ),
    )
    for name in ("1 KiB", "1 MiB"):
        yield Target(f"prepare, {name}: beyond start-up", 0.1, False, _beyond(name), "s")
        processes = _figure("small", f"small: {name}, processes", "processes")
        yield Target(f"prepare, {name}: processes", 1, False, processes, "")
    for name in ("vm", "incompressible"):
        yield Target(f"prepare, {name}: two CPUs faster than one", 1.6, True, _two_cpus(name))
    cold, seed, place = (f"{IN_PLACE}: {mode}" for mode in ("cold", "seed", "in place"))
    yield Target(f"cold pull: faster than {CASYNC}", 4.0, True, _pull(cold, CASYNC))
    yield Target(f"cold pull: time, of {CURL}", 0.5, False, _pull(cold, CURL, turned=True))
    yield Target(f"delta pull, seed: faster than {CASYNC}", 8.0, True, _pull(seed, CASYNC))
    yield Target(
        "delta pull in place, seed remembered: time, of b3sum of the old data + wire bytes at the"
        " loopback rate + 0.3 s",
        2.0,
        False,
        lambda all_: _in_place(all_, place),
    )
    yield Target(
        "cold pull, 1 GiB incompressible: time, of curl to a file",
        1.5,
        False,
        _pull("weights: cold", CURL, turned=True),
    )
    yield from _downloads()
    yield from _shards()
    yield from _sites()
    yield from _bytes()
    yield Target("32 pullers at once: rate, of one", 0.8, True, _together)
    failures = _figure("pullers", "32 at once", "health_failures")
    yield Target("32 pullers at once: /healthz unanswered", 0, False, failures, "")
    for label in (IN_PLACE, REBUILT):
        yield Target(
            f"100 Mbit/s, 40 ms, {label}: time, of bytes / bandwidth + 5 round trips",
            1.1,
            False,
            _slow(label),
        )
    yield from _updates()
    for verb in ("prepare", "pull"):
        yield Target(f"memory of {verb}, 8 GiB", 400, False, _memory(verb), "MiB")
        yield Target(f"memory of {verb}: 8 GiB, of 1 GiB", 1.1, False, _memory_growth(verb))


def _downloads() -> Iterator[Target]:
    for files in ("200 files of 5 MB", "20,000 files of 20 KB"):
        yield Target(
            f"download, {files}: time, of the faster one of {RCLONE} and {ARIA2}",
            1.2,
            False,
            _of_the_fastest("downloads", f"new: {files}", (RCLONE, ARIA2)),
        )
        yield Target(
            f"download, {files}, nothing new: time, of {RCLONE}",
            1.0,
            False,
            _against("downloads", f"again: {files}", RCLONE),
        )


def _shards() -> Iterator[Target]:
    tar, samples = "1,000 of 10,000 members: tar", "WebDataset, 8 shards of 64 MB"
    for what, bound, case, peer in (
        ("1,000 members of a tar of 1 GB: faster than a range scan", 100.0, tar, "range scan"),
        ("WebDataset over shards in a store: rate, of local files", 0.8, samples, "local files"),
    ):
        sides = (case, peer), (case, OURS)
        yield Target(
            what, bound, True, partial(_quotient, suite="shards", above=sides[0], below=sides[1])
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
        f"static site, {cold}: requests", 430, False, _figure("sites", cold, "requests"), ""
    )
    yield Target(
        f"static site, {cold}: time, of casync serve", 1.3, False, _against("sites", cold, server)
    )
    for what, case, step, most in (
        ("requests beyond one for 4 MiB", update, 4 * MIB, 10.0),
        ("objects written beyond one for 16 MiB", publish, 16 * MIB, 5.0),
    ):
        yield Target(f"static site, {case}: {what}", most, False, _requests(case, step), "")


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


def _updates() -> Iterator[Target]:
    few, many = (f"{mibs} MiB, 1KiB" for mibs in (256, 2048))
    what = "three bytes changed among 2 million chunks"
    place = f"in place: {many}"
    yield Target(f"{what}, in place", 1.0, False, _figure("updates", place, "seconds"), "s")
    yield Target(
        f"{what}, in place: time, of that among 262,144",
        1.3,
        False,
        lambda all_: _quotient(all_, "updates", (place, OURS), (f"in place: {few}", OURS)),
    )
    for chunks, bound in (("16KiB", 2.0), ("1KiB", 4.0)):
        case = f"over the old file: 2048 MiB, {chunks}"
        yield Target(
            f"three bytes changed in 2 GiB, chunks of {chunks}, over the old file: time, of cp",
            bound,
            False,
            _against("updates", case, "cp --sparse=always"),
        )
    yield Target(
        "three bytes changed in 2 GiB, unknown seed: time, of prepare --reread",
        2.0,
        False,
        _against("updates", "named seed: 2048 MiB, 16KiB", f"{OURS} prepare --reread"),
    )
    for way in ("in place", "over the old file"):
        received = _figure("updates", f"{way}: {many}", "received")
        yield Target(f"{what}, {way}: bytes received", 65_536, False, received, "B")
    for way in ("in place", "over the old file", "named seed"):
        yield from _memory_of_updates(what, way, few, many)


def _memory_of_updates(what: str, way: str, few: str, many: str) -> Iterator[Target]:
    def growth(all_: Results) -> float | None:
        least, most = (
            _figure("updates", f"memory, {way}: {label}", "memory")(all_) for label in (few, many)
        )
        return most / least if least and most is not None else None

    def peak(all_: Results) -> float | None:
        most = _figure("updates", f"memory, {way}: {many}", "memory")(all_)
        return None if most is None else most / MIB

    yield Target(f"memory, {what}, {way}", 256, False, peak, "MiB")
    yield Target(f"memory, {what}, {way}: of 262,144 chunks", 1.15, False, growth)


def _bytes() -> Iterator[Target]:
    for variant, name, bounds in (
        (PLAIN, "plain chunks", (1.15, 2.2, 2.2)),
        (DELTAS, "deltas", (1.0, 1.2, 1.2)),
    ):
        for label, bound in zip((IN_PLACE, REBUILT, BOTH), bounds, strict=True):
            value = _wire(f"{label}: seed", variant, "xdelta3")
            yield Target(f"bytes, {name}, {label}: of xdelta3", bound, False, value)
    for label in (REBUILT, BOTH):
        value = _wire(f"{label}: seed", PLAIN, CASYNC)
        yield Target(f"bytes, plain chunks, {label}: of {CASYNC}", 0.65, False, value)
    for label in (IN_PLACE, REBUILT, BOTH):
        yield Target(
            f"manifest bytes with deltas, {label}: of 32 bytes x new chunks",
            1.4,
            False,
            _manifest(f"{label}: seed"),
        )


def total_bytes(sheet: Sheet, case: str, contender: str) -> float | None:
    """Bytes on the wire, in both directions."""
    received = sheet.get(case, contender, "received")
    if received is None:
        return None
    return received + (sheet.get(case, contender, "sent") or 0.0)


def _figure(suite: str, case: str, measure: str) -> Callable[[Results], float | None]:
    return lambda all_: all_[suite].get(case, OURS, measure) if suite in all_ else None


def _times(case: str, peer: str) -> Callable[[Results], float | None]:
    return lambda all_: all_["prepare"].ratio(case, peer, "seconds") if "prepare" in all_ else None


def _pull(case: str, peer: str, *, turned: bool = False) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        sides = ((case, peer), (case, OURS))
        return _quotient(all_, "transfer", *(reversed(sides) if turned else sides))

    return value


def _against(suite: str, case: str, peer: str) -> Callable[[Results], float | None]:
    return lambda all_: _quotient(all_, suite, (case, OURS), (case, peer))


def _of_the_fastest(
    suite: str, case: str, peers: tuple[str, ...]
) -> Callable[[Results], float | None]:
    """Our time against the least of all these peers; None unless each was measured."""

    def value(all_: Results) -> float | None:
        ratios = [_against(suite, case, peer)(all_) for peer in peers]
        known = [ratio for ratio in ratios if ratio is not None]
        return max(known) if len(known) == len(ratios) else None

    return value


def _quotient(
    all_: Results, suite: str, above: tuple[str, str], below: tuple[str, str]
) -> float | None:
    if suite not in all_:
        return None
    top, bottom = (all_[suite].get(*side, "seconds") for side in (above, below))
    return top / bottom if top is not None and bottom else None


def _beyond(name: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        start, whole = (
            _figure("small", f"small: {what}", "seconds")(all_) for what in ("start-up", name)
        )
        return None if start is None or whole is None else whole - start

    return value


def _two_cpus(name: str) -> Callable[[Results], float | None]:
    one, two = ((f"prepare, {name}: {count} CPU", OURS) for count in (1, 2))
    return lambda all_: _quotient(all_, "cpus", one, two)


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


def _wire(case: str, ours: str, peer: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        if "transfer" not in all_:
            return None
        mine, theirs = (total_bytes(all_["transfer"], case, name) for name in (ours, peer))
        return mine / theirs if mine is not None and theirs else None

    return value


def _manifest(case: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        if "transfer" not in all_:
            return None
        size = all_["transfer"].get(case, DELTAS, "manifest")
        chunks = all_["transfer"].get(case, DELTAS, "new_chunks")
        return size / (32 * chunks) if size is not None and chunks else None

    return value


def _together(all_: Results) -> float | None:
    one, many = (_figure("pullers", f"{n} at once", "rate")(all_) for n in (1, 32))
    return many / one if one and many is not None else None


def _slow(label: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        seconds = _figure("slow", label, "seconds")(all_)
        least = _figure("slow", label, "least_seconds")(all_)
        return seconds / least if seconds is not None and least else None

    return value


def _memory(verb: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        peak = _figure("sizes", f"{verb}: 8 GiB", "memory")(all_)
        return None if peak is None else peak / MIB

    return value


def _memory_growth(verb: str) -> Callable[[Results], float | None]:
    def value(all_: Results) -> float | None:
        least, most = (_figure("sizes", f"{verb}: {n} GiB", "memory")(all_) for n in (1, 8))
        return most / least if least and most is not None else None

    return value
