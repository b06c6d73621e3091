"""Progress of a command: a bar on a terminal, else a line every ten seconds.

Operations report from their own threads and must not be delayed, so they only count; a thread of
this module draws. Short commands end before the first drawing and show nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from casync.sizes import format_size
from casync_cli.parsing.times import format_duration

__all__ = ["Gauge", "Meter", "NotesOnly", "Screen", "bar_text", "line_text"]

_BAR_SECONDS: Final = 0.2
_BAR_AFTER: Final = 0.5
"""Seconds before the first bar; shorter commands show none."""
_LINE_SECONDS: Final = 10.0
_BAR_CELLS: Final = 20


class Screen(Protocol):
    """Where progress is shown."""

    def bar(self, text: str) -> None:
        """Replaces the bar."""
        ...

    def say(self, text: str) -> None:
        """Writes a line."""
        ...


class Gauge(NamedTuple):
    """The state of a phase: name, bytes done, total bytes if known, seconds since its start."""

    what: str
    done: int
    total: int | None
    seconds: float

    @property
    def _figures(self) -> list[str]:
        if self.total is None and not self.done:
            return []
        done = format_size(self.done)
        figures = [done if self.total is None else f"{done} of {format_size(self.total)}"]
        if self.seconds >= 1 and self.done:
            rate = self.done / self.seconds
            figures.append(f"{format_size(int(rate))}/s")
            if self.total is not None and self.total > self.done:
                figures.append(f"{format_duration((self.total - self.done) / rate)} left")
        return figures

    @property
    def _share(self) -> float:
        return min(self.done / self.total, 1.0) if self.total else 0.0


def bar_text(gauge: Gauge, columns: int, outage: str = "") -> str:
    """The bar: one line of fewer than `columns` characters. Fields that do not fit are left out.

    Args:
        gauge: The state.
        columns: Width of the terminal.
        outage: What to show about a lost server in place of the phase; empty if none is lost.
    """
    parts = [outage or gauge.what]
    if gauge.total:
        filled = int(gauge._share * _BAR_CELLS)
        parts.append(f"[{'#' * filled}{'-' * (_BAR_CELLS - filled)}] {int(gauge._share * 100):3}%")
    room = max(columns - 1, 1)
    text = parts[0][:room]
    for part in parts[1:] + gauge._figures:
        if len(text) + 2 + len(part) <= room:
            text += f"  {part}"
    return text


def line_text(gauge: Gauge) -> str:
    """The line for a log."""
    share = f" ({int(gauge._share * 100)}%)" if gauge.total else ""
    match gauge._figures:
        case [first, *rest]:
            return f"{gauge.what}: {', '.join([first + share, *rest])}"
    return gauge.what


class NotesOnly:
    """A `casync.access.progress.Progress` that shows only notes."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def start(self, what: str, total: int | None) -> None:
        """Drops it."""

    def advance(self, count: int) -> None:
        """Drops it."""

    def note(self, text: str) -> None:
        """One line that the user should see."""
        self._screen.say(text)


class Meter:
    """A `casync.access.progress.Progress` that shows a bar or lines.

    Args:
        screen: Where to show it.
        as_bar: Show a bar instead of lines.
        columns: Returns the width of the terminal; called for each drawing.
        outage: Returns what a bar says about a lost server; empty if none is lost.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        screen: Screen,
        *,
        as_bar: bool,
        columns: Callable[[], int],
        outage: Callable[[], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._screen = screen
        self._as_bar = as_bar
        self._columns = columns
        self._outage = outage
        self._clock = clock
        self._lock = threading.Lock()
        self._what = ""
        self._total: int | None = None
        self._done = 0
        self._since = clock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="progress", daemon=True)

    def __enter__(self) -> Meter:
        """Starts drawing."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops drawing and removes the bar."""
        self._ended.set()
        self._thread.join()
        self._screen.bar("")

    def start(self, what: str, total: int | None) -> None:
        """A phase begins."""
        with self._lock:
            self._what, self._total, self._done, self._since = what, total, 0, self._clock()

    def advance(self, count: int) -> None:
        """`count` more bytes of the phase are done."""
        with self._lock:
            self._done += count

    def note(self, text: str) -> None:
        """One line that the user should see."""
        self._screen.say(text)

    def show(self) -> None:
        """Draws once."""
        with self._lock:
            gauge = Gauge(self._what, self._done, self._total, self._clock() - self._since)
        outage = self._outage()
        if self._as_bar and (gauge.what or outage):
            self._screen.bar(bar_text(gauge, self._columns(), outage))
        elif gauge.what:
            self._screen.say(line_text(gauge))

    def _draw(self) -> None:
        pause = _BAR_AFTER if self._as_bar else _LINE_SECONDS
        while not self._ended.wait(pause):
            self.show()
            pause = _BAR_SECONDS if self._as_bar else _LINE_SECONDS
