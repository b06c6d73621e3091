"""Names the segments and runs of the session that is open, each once."""

from __future__ import annotations

import threading

from casync.bucket.keys import SessionPart
from casync.store.bucket.segments import NoSessionError

__all__ = ["SessionParts"]


class SessionParts:
    """The open session of a process, and the numbers that it has used. Safe for threads.

    Attributes:
        session: The session; empty if none is open.
        number: Above all numbers that it has used.
    """

    def __init__(self) -> None:
        self.session = b""
        self.number = 0
        self._lock = threading.Lock()

    def begin(self, session: bytes) -> None:
        """Begins a new session."""
        with self._lock:
            self.session, self.number = session, 0

    def next(self) -> SessionPart:
        """A new part of the session.

        Raises:
            NoSessionError: None is open.
        """
        with self._lock:
            if not self.session:
                raise NoSessionError("no session")
            part = SessionPart(self.session, self.number)
            self.number += 1
            return part

    def skip(self) -> int:
        """Passes over a number; returns what is above all."""
        with self._lock:
            self.number += 1
            return self.number
