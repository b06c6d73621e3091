"""Decides when a connection is too slow. Pure: a function of times and byte counts.

The head of a request has a deadline, its body and the answer have a minimum rate, and an idle
connection has a timeout. The protocol reports events with their times.
"""

from __future__ import annotations

from enum import Enum

from casync_server.settings import ServerSettings

__all__ = ["Late", "Pacing"]


class Late(Enum):
    """What was too slow."""

    HEAD = "the head of the request took too long"
    BODY = "the body of the request came too slowly"
    IDLE = "no request came"
    READER = "the client took the answer too slowly"


class _Phase(Enum):
    HEAD = 1
    BODY = 2
    ANSWER = 3
    IDLE = 4


class Pacing:
    """Tracks one connection. All times are seconds of one monotonic clock."""

    def __init__(self, settings: ServerSettings, now: float) -> None:
        self._settings = settings
        self._phase = _Phase.HEAD
        self._since = now
        self._received = 0
        self._blocked_since: float | None = None
        self._blocked_with = 0

    @property
    def idle(self) -> bool:
        """Whether the connection is between two requests."""
        return self._phase is _Phase.IDLE

    def head(self, now: float) -> None:
        """The first byte of a request arrived."""
        self._phase, self._since = _Phase.HEAD, now

    def body(self, now: float) -> None:
        """The head is complete."""
        self._phase, self._since, self._received = _Phase.BODY, now, 0

    def received(self, count: int) -> None:
        """`count` bytes of the body arrived."""
        self._received += count

    def answer(self) -> None:
        """The request is complete."""
        self._phase = _Phase.ANSWER

    def rest(self, now: float) -> None:
        """The answer is complete, and no further request has begun."""
        self._phase, self._since = _Phase.IDLE, now

    def block(self, now: float, unsent: int) -> None:
        """The client does not read; `unsent` bytes wait to be sent."""
        if self._blocked_since is None:
            self._blocked_since, self._blocked_with = now, unsent
        self._blocked_with = max(self._blocked_with, unsent)

    def unblock(self) -> None:
        """The client has read enough."""
        self._blocked_since = None

    def late(self, now: float, unsent: int) -> Late | None:
        """What is too slow at `now`, with `unsent` bytes waiting to be sent; None if nothing."""
        limits = self._settings
        if self._blocked_since is not None:
            allowed = limits.stall_seconds + (self._blocked_with - unsent) / limits.rate
            if now - self._blocked_since > allowed:
                return Late.READER
        spent = now - self._since
        if self._phase is _Phase.HEAD and spent > limits.header_seconds:
            return Late.HEAD
        if self._phase is _Phase.BODY:
            allowed = limits.stall_seconds + self._received / limits.rate
            return Late.BODY if spent > allowed else None
        if self._phase is _Phase.IDLE and spent > limits.idle_seconds:
            return Late.IDLE
        return None
