"""Shows a job while it runs: bars on a terminal, else lines or JSON documents."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from casync_cli.output import Output
from casync_cli.reports.job import job_fields
from casync_cli.reports.job_bars import bar_lines, plain_line
from casync_cli.reports.job_pace import JobFigures, JobPace

if TYPE_CHECKING:
    from casync.jobs.job import JobRow

__all__ = [
    "JOB_SCHEMA",
    "JobBars",
    "JobDocuments",
    "JobLines",
    "JobScreen",
    "SeldomScreen",
    "follow",
]

JOB_SCHEMA: Final = "casync.job/1"

_BAR_AFTER: Final = 0.5
"""Seconds before the first bars; shorter jobs show none."""


class JobScreen(Protocol):
    """Where a job is shown."""

    first: float
    """Seconds before it is shown for the first time."""

    def show(self, view: JobFigures) -> None:
        """Shows it as it is now."""
        ...

    def end(self) -> None:
        """Removes what is not to stay."""
        ...


class JobBars:
    """Bars on the terminal of stderr."""

    first = _BAR_AFTER

    def __init__(self, output: Output) -> None:
        self._output = output

    def show(self, view: JobFigures) -> None:
        """As `JobScreen.show`."""
        lines = bar_lines(view, self._output.bar_columns, self._output.bar_rows)
        self._output.bar("\n".join(lines))

    def end(self) -> None:
        """As `JobScreen.end`."""
        self._output.bar("")


class JobLines:
    """A line each time.

    Args:
        write: Writes a line.
        first: Seconds before the first one.
        flush: Passes the line on to a reader who waits for it.
    """

    def __init__(
        self, write: Callable[[str], None], first: float, flush: Callable[[], None] | None = None
    ) -> None:
        self.first = first
        self._write = write
        self._flush = flush

    def show(self, view: JobFigures) -> None:
        """As `JobScreen.show`."""
        self._write(plain_line(view))
        if self._flush is not None:
            self._flush()

    def end(self) -> None:
        """As `JobScreen.end`."""


class JobDocuments:
    """A JSON document on stdout each time, at once the first time, which tells the id.

    Args:
        output: Writes them.
        status: What a job does, from `casync_cli.reports.job.status_of`.
    """

    first = 0.0

    def __init__(self, output: Output, status: Callable[[JobRow], str]) -> None:
        self._output = output
        self._status = status

    def show(self, view: JobFigures) -> None:
        """As `JobScreen.show`."""
        self._output.document(JOB_SCHEMA, job_fields(view.row, self._status(view.row)))
        self._output.flush()

    def end(self) -> None:
        """As `JobScreen.end`."""


class SeldomScreen:
    """Shows less often than it is asked to.

    Args:
        screen: Where it shows.
        interval: Seconds between two times, and before the first one.
    """

    first = 0.0

    def __init__(self, screen: JobScreen, interval: float) -> None:
        self._screen = screen
        self._interval = interval
        self._next = time.monotonic() + screen.first

    def show(self, view: JobFigures) -> None:
        """As `JobScreen.show`."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._interval
            self._screen.show(view)

    def end(self) -> None:
        """As `JobScreen.end`."""
        self._screen.end()


def follow(
    screen: JobScreen | None,
    read: Callable[[], JobRow],
    is_over: Callable[[JobRow], bool],
    pause: float,
    deadline: float = float("inf"),
) -> JobRow | None:
    """Shows a job of another process until it is over.

    Args:
        screen: Where it is shown; None shows nothing.
        read: The job as it is now.
        is_over: Whether there is no more to wait for.
        pause: Seconds between two looks.
        deadline: Monotonic seconds after which it is not waited for.

    Returns:
        The job when it was over; None if the deadline passed.
    """
    pace = JobPace()
    try:
        while not is_over(row := read()):
            now = time.monotonic()
            if now >= deadline:
                return None
            view = pace.look(row, now)
            if screen is not None:
                screen.show(view)
            time.sleep(min(pause, deadline - now))
        return row
    finally:
        if screen is not None:
            screen.end()
