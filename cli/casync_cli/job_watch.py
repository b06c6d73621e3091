"""Shows a job while it runs: bars on a terminal, else lines or JSON documents."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol

from casync_cli.output import Output
from casync_cli.reports.job import job_fields
from casync_cli.reports.job_bars import bar_lines, plain_line
from casync_cli.reports.job_pace import JobFigures, JobPace

if TYPE_CHECKING:
    from casync.jobs.job import JobRow
    from casync.ops.download.progress import JobView

__all__ = ["JOB_SCHEMA", "JobBars", "JobDocuments", "JobLines", "JobMeter", "JobScreen", "follow"]

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
    """

    def __init__(self, write: Callable[[str], None], first: float) -> None:
        self.first = first
        self._write = write

    def show(self, view: JobFigures) -> None:
        """As `JobScreen.show`."""
        self._write(plain_line(view))

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


class JobMeter:
    """A `casync.ops.download.progress.JobProgress` that shows a job on a screen now and then.

    An error of the screen, such as a stdout that cannot be written, ends the showing and is raised
    at the end of the with block. The job goes on.

    Args:
        screen: Where it is shown; None shows nothing.
        say: Writes a line for the user.
        pause: Seconds between two times.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        screen: JobScreen | None,
        say: Callable[[str], None],
        pause: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._screen = screen
        self._say = say
        self._pause = pause
        self._clock = clock
        self._pace = JobPace()
        self._next = clock() + (screen.first if screen is not None else 0.0)
        self._error: Exception | None = None

    def __enter__(self) -> JobMeter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes what is not to stay."""
        if self._screen is not None:
            self._screen.end()
        if error is None and self._error is not None:
            raise self._error

    def show(self, view: JobView) -> None:
        """As `JobProgress.show`."""
        now = self._clock()
        if self._screen is None or self._error is not None or now < self._next:
            return
        self._next = now + self._pause
        figures = self._pace.look(view.row, now)
        try:
            self._screen.show(figures._replace(speed=view.speed, listed=view.listed))
        except Exception as error:
            self._error = error

    def note(self, text: str) -> None:
        """As `JobProgress.note`."""
        self._say(text)


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
