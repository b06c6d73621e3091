"""The speed of a job and the time that it still needs, from one look at its row after another.

Rates are averages that forget: what lies back a time constant counts for 1/e of what is new.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casync.jobs.job import ActiveObject, JobRow

__all__ = ["JobPace", "JobFigures", "ObjectFigures"]

_SPEED_SECONDS: Final = 10.0
"""Time constant of speeds, which people watch."""

_LEFT_SECONDS: Final = 60.0
"""Time constant for the time that is left, which should not jump."""


_ENOUGH_SECONDS: Final = 5.0
"""Seconds that are watched before there is a time that is left: a commit settles many objects."""


class ObjectFigures(NamedTuple):
    """An object that is being fetched, as it is shown.

    Attributes:
        name: The name that it gets.
        done: Bytes of it that are here.
        size: Its size in bytes; None if it is not known.
        speed: Bytes per second; None if it is not known yet.
        left: Seconds until it is here; None if that is not known.
    """

    name: str
    done: int
    size: int | None
    speed: float | None
    left: float | None


class JobFigures(NamedTuple):
    """A job at one moment, as it is shown.

    Attributes:
        row: The job.
        speed: Bytes per second of all connections; None if it is not known yet.
        left: Seconds until all objects are done; None if that is not known.
        objects: The objects that are being fetched.
        listed: Objects that were listed so far.
    """

    row: JobRow
    speed: float | None
    left: float | None
    objects: tuple[ObjectFigures, ...]
    listed: int = 0

    @property
    def bytes(self) -> int:
        """Bytes that are here, of objects that are not done, too."""
        return self.row.counts.bytes + sum(each.done for each in self.objects)

    @property
    def share(self) -> float | None:
        """The share of the objects that is here, parts included; None if it is not known."""
        row = self.row
        if row.total < 0:
            return None
        here = row.counts.finished + row.counts.skipped + _share_of(row.active)
        return min(here / row.total, 1.0) if row.total else 1.0


class JobPace:
    """Follows one job."""

    def __init__(self) -> None:
        self._fetched = _Rate(_SPEED_SECONDS)
        self._settled = _Rate(_LEFT_SECONDS)
        self._objects: dict[tuple[str, float], _Rate] = {}

    def look(self, row: JobRow, now: float) -> JobFigures:
        """The job as it is shown.

        Args:
            row: Its row now.
            now: Monotonic seconds.
        """
        kept: dict[tuple[str, float], _Rate] = {}
        objects = []
        for each in row.active:
            key = each.name, each.started
            rate = kept[key] = self._objects.get(key) or _Rate(_SPEED_SECONDS)
            objects.append(_object_figures(each, rate.after(each.done, now)))
        self._objects = kept
        settled = row.counts.settled + _share_of(row.active)
        return JobFigures(
            row,
            self._fetched.after(row.counts.fetched, now),
            self._left(row, settled, now),
            tuple(objects),
            row.listed,
        )

    def _left(self, row: JobRow, settled: float, now: float) -> float | None:
        rate = self._settled.after(settled, now)
        if row.total < 0 or self._settled.seconds < _ENOUGH_SECONDS:
            return None
        return _seconds(row.total - settled, rate)


class _Rate:
    """Units per second of a counter that is read now and then.

    Attributes:
        seconds: The time that was watched, of which what lies back counts less.
    """

    def __init__(self, constant: float) -> None:
        self._constant = constant
        self._last: tuple[float, float] | None = None
        self._units = 0.0
        self.seconds = 0.0

    def after(self, count: float, now: float) -> float | None:
        """The rate after the counter is at `count`; None after the first look."""
        if self._last is not None:
            before, then = self._last
            passed = max(now - then, 0.0)
            kept = math.exp(-passed / self._constant)
            # A counter that goes back, because an object starts over, adds nothing.
            self._units = self._units * kept + max(count - before, 0.0)
            self.seconds = self.seconds * kept + passed
        self._last = count, now
        return self._units / self.seconds if self.seconds > 0 else None


def _object_figures(each: ActiveObject, speed: float | None) -> ObjectFigures:
    left = None if each.size is None else _seconds(each.size - each.done, speed)
    return ObjectFigures(each.name, each.done, each.size, speed, left)


def _share_of(active: Sequence[ActiveObject]) -> float:
    """What is here of objects that are not done, in objects."""
    return sum(min(each.done / each.size, 1.0) for each in active if each.size)


def _seconds(rest: float, rate: float | None) -> float | None:
    return max(rest, 0.0) / rate if rate else None
