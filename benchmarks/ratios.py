"""Targets, and the ratios within one run that they are about. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.sheet import OURS, Results, Sheet

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


def total_bytes(sheet: Sheet, case: str, contender: str) -> float | None:
    """Bytes on the wire, in both directions."""
    received = sheet.get(case, contender, "received")
    if received is None:
        return None
    return received + (sheet.get(case, contender, "sent") or 0.0)


def figure(suite: str, case: str, measure: str) -> Callable[[Results], float | None]:
    """A figure of ours."""
    return lambda all_: all_[suite].get(case, OURS, measure) if suite in all_ else None


def times(case: str, peer: str) -> Callable[[Results], float | None]:
    """The time of a peer against ours, of `prepare`."""
    return lambda all_: all_["prepare"].ratio(case, peer, "seconds") if "prepare" in all_ else None


def pull(case: str, peer: str, *, turned: bool = False) -> Callable[[Results], float | None]:
    """The time of a peer against ours, of a pull; or turned round."""

    def value(all_: Results) -> float | None:
        sides = ((case, peer), (case, OURS))
        return quotient(all_, "transfer", *(reversed(sides) if turned else sides))

    return value


def against(suite: str, case: str, peer: str) -> Callable[[Results], float | None]:
    """Our time against that of a peer."""
    return lambda all_: quotient(all_, suite, (case, OURS), (case, peer))


def of_the_fastest(
    suite: str, case: str, peers: tuple[str, ...]
) -> Callable[[Results], float | None]:
    """Our time against the least of all these peers; None unless each was measured."""

    def value(all_: Results) -> float | None:
        ratios = [against(suite, case, peer)(all_) for peer in peers]
        known = [ratio for ratio in ratios if ratio is not None]
        return max(known) if len(known) == len(ratios) else None

    return value


def quotient(
    all_: Results,
    suite: str,
    above: tuple[str, str],
    below: tuple[str, str],
    measure: str = "seconds",
) -> float | None:
    """One time against another one, each of a case and a contender; or another measure of both."""
    if suite not in all_:
        return None
    top, bottom = (all_[suite].get(*side, measure) for side in (above, below))
    return top / bottom if top is not None and bottom else None


def wire(case: str, ours: str, peer: str) -> Callable[[Results], float | None]:
    """Our bytes on the wire against those of a peer."""

    def value(all_: Results) -> float | None:
        if "transfer" not in all_:
            return None
        mine, theirs = (total_bytes(all_["transfer"], case, name) for name in (ours, peer))
        return mine / theirs if mine is not None and theirs else None

    return value
