"""Ctrl-C and SIGTERM: the first stops the command, the second exits at once.

Until the command is known, signals are blocked (`casync_cli.start`), so none interrupts an import.
After that, a signal
raises an exception in the main thread, which unwinds like any error. Durability does not depend on
this: stores and targets survive a kill.

Python runs handlers in the main thread, between two bytecodes. A main thread that is about to block
in a system call would not run them, so another thread interrupts it with an otherwise unused
signal. An exception raised in a finalizer is lost, so it is raised again. While a lock is being
taken or released, none is raised: a lock that stays locked would block the unwinding. It is raised
as soon as that is done.

Imports little, and nothing from `typing`: until this is loaded, signals kill the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType

__all__ = ["Interrupted", "stop_on_signals"]

_STOPS = (signal.SIGINT, signal.SIGTERM)
_HELD = (*_STOPS, signal.SIGHUP)
_NUDGE = signal.SIGURG
"""Interrupts a system call of the main thread. Its default action is to be ignored."""
_NUDGES = 5
_NUDGE_SECONDS = 0.05

_LOCKING_MODULES = frozenset({"contextlib", "threading"})
_LOCKING = frozenset(
    {
        "__enter__",
        "__exit__",
        "_acquire_restore",
        "_release_save",
        "acquire",
        "enter_context",
        "release",
    }
)
"""Functions in Python that take or release a lock, or hand one to a with block. Locks in C do it in
one step."""


class Interrupted(KeyboardInterrupt):
    """A signal stopped the command.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__("interrupted" if number == signal.SIGINT else "asked to stop")
        self.number = number
        self.status = 128 + number


def stop_on_signals() -> None:
    """Turns the first signal into `Interrupted`, for the rest of the process.

    A signal that the parent ignores (`nohup`, `&` in scripts) stays ignored.

    Raises:
        Interrupted: A blocked signal was pending.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stop = _Stop(writer)
    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop.ask)
    signal.signal(_NUDGE, stop.ask_again)
    sys.unraisablehook = stop.unraisable
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    main = threading.get_ident()
    threading.Thread(target=_watch, args=(reader, main, stop), name="signals", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


class _Stop:
    """The handler of all signals.

    It does not install another handler: that would first run the handlers of signals that arrived
    at the same time, and a second signal would count as the first.

    Args:
        wakeup: Descriptor to which a signal number is written, to wake `_watch`.
    """

    def __init__(self, wakeup: int) -> None:
        self._wakeup = wakeup
        self._asked = False
        self._pending: Interrupted | None = None

    @property
    def is_pending(self) -> bool:
        """Whether an exception is still to be raised."""
        return self._pending is not None

    def ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            os._exit(128 + number)  # no unwinding: the user does not want to wait
        self._asked = True
        if _is_locking(frame):
            self._raise_later(Interrupted(number))
        else:
            raise Interrupted(number)

    def unraisable(self, args: sys.UnraisableHookArgs, /) -> None:
        """Gets exceptions of finalizers and callbacks, which have no caller."""
        if isinstance(args.exc_value, Interrupted):
            self._raise_later(args.exc_value)
        else:
            sys.__unraisablehook__(args)

    def ask_again(self, _: int, frame: FrameType | None) -> None:
        if self._pending is not None and not _is_locking(frame):
            pending, self._pending = self._pending, None
            raise pending

    def _raise_later(self, interrupted: Interrupted) -> None:
        self._pending = interrupted
        os.write(self._wakeup, bytes([interrupted.number]))


def _is_locking(frame: FrameType | None) -> bool:
    """Whether the main thread was interrupted while it takes or releases a lock."""
    return (
        frame is not None
        and frame.f_code.co_name in _LOCKING
        and frame.f_globals.get("__name__") in _LOCKING_MODULES
    )


def _watch(reader: int, main: int, stop: _Stop) -> None:
    """Interrupts the main thread a few times after each signal, and until it is raised."""
    while number := os.read(reader, 1):
        if number[0] in _STOPS:
            nudges = 0
            while nudges < _NUDGES or stop.is_pending:
                time.sleep(_NUDGE_SECONDS)
                signal.pthread_kill(main, _NUDGE)
                nudges += 1
