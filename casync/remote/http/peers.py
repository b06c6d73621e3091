"""Servers that stand in for each other: a command leaves a lost one soon, if another may answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from casync.remote.http.address import origin_of

__all__ = ["ALONE", "PEER_SECONDS", "Peers"]

PEER_SECONDS: Final = 5.0
"""Seconds without progress after which a server is left for another one."""


class Peers:
    """The servers of a command. Safe for threads.

    Args:
        urls: Their addresses.
    """

    def __init__(self, urls: Sequence[str] = ()) -> None:
        self._origins = frozenset(map(origin_of, urls))
        self._lost: set[str] = set()
        self._lock = threading.Lock()

    def has_other(self, origin: str) -> bool:
        """Whether a server other than this one may answer."""
        with self._lock:
            return bool(self._origins - self._lost - {origin})

    def lost(self, origin: str) -> None:
        """Records that a server was given up."""
        with self._lock:
            self._lost.add(origin)

    def answered(self, origin: str) -> None:
        """Records that a server answered."""
        if origin in self._lost:
            with self._lock:
                self._lost.discard(origin)


ALONE: Final = Peers()
"""Of a server that no other one stands in for."""
