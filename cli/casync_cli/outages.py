"""Tells the user that a server is lost, until when it is retried, and that it is back."""

from __future__ import annotations

import threading
import time

from casync_cli.output import Output

__all__ = ["Outages"]


class Outages:
    """A `casync.remote.http.outage.ServerWatch` that writes a line, or has one for the bar.

    Args:
        output: Where lines are written.

    Attributes:
        in_bar: Whether a progress bar shows outages, so that no lines are needed.
    """

    def __init__(self, output: Output) -> None:
        self.in_bar = False
        self._output = output
        self._lock = threading.Lock()
        self._lost: dict[str, str] = {}

    @property
    def text(self) -> str:
        """What the bar says about a lost server; empty if none is lost."""
        with self._lock:
            return next(iter(self._lost.values()), "")

    def lost(self, origin: str, reason: str, seconds: float) -> None:
        """As `ServerWatch.lost`."""
        end = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
        with self._lock:
            self._lost[origin] = f"server lost, retrying until {end}"
        if not self.in_bar:
            self._output.say(f"server lost, retrying until {end}: {reason}")

    def back(self, origin: str) -> None:
        """As `ServerWatch.back`."""
        self.given_up(origin)
        if not self.in_bar:
            self._output.say(f"server back: {origin}")

    def given_up(self, origin: str) -> None:
        """As `ServerWatch.given_up`."""
        with self._lock:
            self._lost.pop(origin, None)
