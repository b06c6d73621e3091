"""Tells someone that a server is lost, until when it is retried, and that it is back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

from casync.errors import UnreachableError
from casync.remote.http.peers import ALONE, Peers

__all__ = ["Outage", "ServerWatch"]

_SILENT_SECONDS: Final = 1.0
"""Shorter outages are not told: a retry after a broken connection is not worth a message."""


class ServerWatch(Protocol):
    """Learns of outages. Methods are called from any thread and must be fast."""

    def lost(self, origin: str, reason: str, seconds: float) -> None:
        """A server does not answer, and will be retried for some seconds from now."""
        ...

    def back(self, origin: str) -> None:
        """A lost server answers again."""
        ...

    def given_up(self, origin: str) -> None:
        """A lost server is not retried any more."""
        ...


class Outage:
    """Whether one server is lost. Safe for threads.

    Args:
        origin: The server.
        watch: Is told about losses; None if they are not reported.
        clock: Monotonic clock in seconds.
        peers: Servers that stand in for it.
    """

    def __init__(
        self,
        origin: str,
        watch: ServerWatch | None,
        clock: Callable[[], float],
        peers: Peers = ALONE,
    ) -> None:
        self._origin = origin
        self._peers = peers
        self._watch = watch
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._told = False

    @property
    def is_covered(self) -> bool:
        """Whether another server may answer in its place."""
        return self._peers.has_other(self._origin)

    def failed(self, error: UnreachableError, wait: float, left: float) -> None:
        """Records that a request failed, and is retried in `wait` seconds and for `left` ones."""
        with self._lock:
            now = self._clock()
            self._since = now if self._since is None else self._since
            told, self._told = self._told, self._told or now + wait - self._since >= _SILENT_SECONDS
            tells = self._told and not told
        if tells and self._watch is not None:
            self._watch.lost(self._origin, error.message, left)

    def answered(self) -> None:
        """Records that the server answered."""
        self._peers.answered(self._origin)
        if self._ended() and self._watch is not None:
            self._watch.back(self._origin)

    def given_up(self) -> None:
        """Records that a request is not retried any more."""
        self._peers.lost(self._origin)
        if self._ended() and self._watch is not None:
            self._watch.given_up(self._origin)

    def _ended(self) -> bool:
        """Ends the outage; returns whether it was told."""
        if self._since is None:
            return False
        with self._lock:
            told, self._told, self._since = self._told, False, None
        return told
