"""Signals as something to read, for the supervisor, which waits for several things at once."""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType
from typing import Final, Self

__all__ = ["SignalReader"]

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_MOST: Final = 64
"""Signals that are read at once."""


class SignalReader:
    """Collects SIGTERM, SIGINT and SIGHUP while it is entered. For the main thread.

    Callers that block these signals before and after lose none and are ended by none: those that
    are pending at the beginning are read here, and those that come after the end stay pending.

    A stop that the parent ignores is ignored here, too, but processes that are started meanwhile
    do not ignore it. SIGHUP asks for a renewal, also under `nohup`.
    """

    def __init__(self) -> None:
        self._heeded: set[int] = {signal.SIGHUP}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._reader, writer = (stack.enter_context(sock) for sock in socket.socketpair())
            self._reader.setblocking(False)
            writer.setblocking(False)
            wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            stack.callback(signal.set_wakeup_fd, wakeup)
            for number in (*_STOPS, signal.SIGHUP):
                before = signal.signal(number, _noted)
                stack.callback(signal.signal, number, before)
                if before is not signal.SIG_IGN:
                    self._heeded.add(number)
            mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_STOPS, signal.SIGHUP))
            stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, mask)
            self._undo = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def fileno(self) -> int:
        """What can be read once a signal came."""
        return self._reader.fileno()

    def read(self) -> tuple[int, bool]:
        """How often a stop was asked for since the last time, and whether a renewal was."""
        try:
            numbers = [number for number in self._reader.recv(_MOST) if number in self._heeded]
        except BlockingIOError:
            numbers = []
        renewals = numbers.count(signal.SIGHUP)
        return len(numbers) - renewals, renewals > 0


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The socket carries the signal; the handler only has to exist."""
