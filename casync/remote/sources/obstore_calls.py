"""Calls of obstore from threads, which are freed when a source is closed.

A thread in a call of the library cannot be woken, also not by Ctrl-C, and the library waits for a
server for as long as its time limit says. So daemon threads make the calls, and what waits for
their results can stop waiting. One that is still in a call when the process ends stays in it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, TypeVar

from casync.errors import StoppedError

__all__ = ["ObstoreCalls"]

_T = TypeVar("_T")


class _Outcome(NamedTuple):
    """What became of a call: its result, or what it raised."""

    result: Any
    error: BaseException | None = None


class _Call(NamedTuple):
    """A call, and the queue for its outcome."""

    call: Callable[[], Any]
    outcomes: SimpleQueue[_Outcome | None]


_Calls = SimpleQueue[_Call | None]
"""The calls that one thread is to make; None ends it."""

_STOPPED: Final = None
"""Instead of an outcome: it is not waited for."""


class ObstoreCalls:
    """The calls for one user. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._idle: list[_Calls] = []
        self._waiting: set[SimpleQueue[_Outcome | None]] = set()

    def wait(self, call: Callable[[], _T]) -> _T:
        """Makes a call in a thread of its own, and returns the result.

        Raises:
            StoppedError: `close` was called, before or meanwhile.
            Exception: What the call raises.
        """
        outcomes: SimpleQueue[_Outcome | None] = SimpleQueue()
        try:
            with self._lock:
                if self._closed:
                    raise StoppedError("stopped")
                self._waiting.add(outcomes)
                calls = self._idle.pop() if self._idle else None
            (calls or self._thread()).put(_Call(call, outcomes))
            outcome = outcomes.get()
        finally:
            with self._lock:
                self._waiting.discard(outcomes)
        if outcome is _STOPPED:
            raise StoppedError("stopped")
        if outcome.error is not None:
            raise outcome.error
        result: _T = outcome.result
        return result

    def close(self) -> None:
        """Stops waiting for all calls, running ones and later ones."""
        with self._lock:
            self._closed = True
            waiting, idle = [*self._waiting], self._idle
            self._idle = []
        for outcomes in waiting:
            outcomes.put(_STOPPED)
        for calls in idle:
            calls.put(None)

    def _thread(self) -> _Calls:
        """Starts a thread."""
        calls: _Calls = SimpleQueue()
        thread = threading.Thread(
            target=self._make, args=(calls,), name="obstore-calls", daemon=True
        )
        thread.start()
        return calls

    def _make(self, calls: _Calls) -> None:
        """Makes the calls of one thread."""
        while (each := calls.get()) is not None:
            try:
                outcome = _Outcome(each.call())
            except BaseException as error:
                outcome = _Outcome(None, error)
            each.outcomes.put(outcome)
            del each, outcome
            with self._lock:
                if self._closed:
                    return
                self._idle.append(calls)
