"""When a connection has been too slow, as a pure function of times and counts.

A request's head has a deadline, its body and the answer a minimum rate, an idle connection an end.
Must not know about sockets or clocks: the protocol tells it what happened when.
"""

from __future__ import annotations

from enum import Enum

from casync_server.settings import ServerSettings

__all__ = ["Late", "Pacing"]


class Late(Enum):
    """What a connection was too slow with."""

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
    """Follows one connection. All times are seconds of one monotonic clock."""

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
        """The first byte of a request came."""
        self._phase, self._since = _Phase.HEAD, now

    def body(self, now: float) -> None:
        """The head is complete."""
        self._phase, self._since, self._received = _Phase.BODY, now, 0

    def received(self, count: int) -> None:
        """`count` bytes of the body came."""
        self._received += count

    def answer(self) -> None:
        """The request is complete."""
        self._phase = _Phase.ANSWER

    def rest(self, now: float) -> None:
        """The answer is complete and nothing more was asked."""
        self._phase, self._since = _Phase.IDLE, now

    def block(self, now: float, unsent: int) -> None:
        """The client does not take bytes, with `unsent` of them waiting here by now."""
        if self._blocked_since is None:
            self._blocked_since, self._blocked_with = now, unsent
        self._blocked_with = max(self._blocked_with, unsent)

    def unblock(self) -> None:
        """The client took enough."""
        self._blocked_since = None

    def late(self, now: float, unsent: int) -> Late | None:
        """What the client is too slow with at `now`, with `unsent` bytes waiting for it."""
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
