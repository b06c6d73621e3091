"""What people see of a running job, made from what its threads have done so far."""

from __future__ import annotations

from collections.abc import Callable

from casync.jobs.job import JobRow
from casync.ops.download.ledger import Ledger
from casync.ops.download.listing import ItemListing
from casync.ops.download.progress import ActiveView, JobView, Phase
from casync.ops.download.speed import Speed

__all__ = ["Viewer"]


class Viewer:
    """Makes views of a job. Used by one thread.

    Args:
        ledger: What the job has done.
        row: Returns the job as of now.
        listing: Its listing.
        clock: Monotonic clock in seconds.

    Attributes:
        phase: What the job does now.
    """

    def __init__(
        self,
        ledger: Ledger,
        row: Callable[[], JobRow],
        listing: ItemListing,
        clock: Callable[[], float],
    ) -> None:
        self.phase = Phase.LISTING
        self._ledger = ledger
        self._row = row
        self._listing = listing
        self._speed = Speed(clock())
        self._speeds: dict[int, Speed] = {}

    def view(self, now: float) -> JobView:
        """The job at a time of the monotonic clock."""
        objects = sorted(self._ledger.active.copy().items())
        speeds = {index: self._speeds.get(index) or Speed(now) for index, _ in objects}
        self._speeds = speeds
        active = [
            ActiveView(each.name, each.done, each.size, speeds[index].measure(each.done, now))
            for index, each in objects
        ]
        speed = self._speed.measure(self._ledger.fetched, now)
        return JobView(self._row(), self.phase, active, speed, self._listing.count)
