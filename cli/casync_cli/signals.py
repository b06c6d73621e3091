"""Ctrl-C and SIGTERM: the first asks to stop, the second ends the process at once.

Until the command is known, signals are held back, so that none of them interrupts an import.
After that, a signal arrives as an exception in the main thread, and everything on its way is
unwound as for any error. Nothing that must survive depends on that: stores and targets stand a
kill.

Python runs handlers in the main thread, between two bytecodes. A thread that is just about to wait
in a system call does not get there; so another thread watches, and nudges it with a signal that
means nothing. An exception that is raised in a finalizer is lost; it is raised once more.

Imports little, and nothing from `typing`: until this is loaded, signals end the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

__all__ = ["Interrupted", "hold_signals", "stop_on_signals"]

_STOPS = (signal.SIGINT, signal.SIGTERM)
_HELD = (*_STOPS, signal.SIGHUP)
_NUDGE = signal.SIGURG
"""Ends a wait of the main thread. It is ignored unless caught."""
_NUDGES = 5
_NUDGE_SECONDS = 0.05


class Interrupted(KeyboardInterrupt):
    """We were asked to stop.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__("interrupted" if number == signal.SIGINT else "asked to stop")
        self.number = number
        self.status = 128 + number


def hold_signals() -> None:
    """Keeps signals pending until `stop_on_signals`, or until another handler lets them through."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)


def stop_on_signals() -> None:
    """Turns the first signal into `Interrupted`, for the rest of the process.

    A signal that the parent ignores (`nohup`, `&` in scripts) stays ignored.

    Raises:
        Interrupted: A signal was held back.
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
    threading.Thread(target=_watch, args=(reader, main), name="signals", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


class _Stop:
    """The handler of all signals.

    It does not put another handler in its place: that would run the handlers of signals which came
    at the same time, and the second would pass for a first one.

    Args:
        wakeup: Where the number of a signal makes `_watch` nudge the main thread.
    """

    def __init__(self, wakeup: int) -> None:
        self._wakeup = wakeup
        self._asked = False
        self._lost: Interrupted | None = None

    def ask(self, number: int, _: object) -> None:
        if self._asked:
            os._exit(128 + number)  # no unwinding: the second signal is for those who do not wait
        self._asked = True
        raise Interrupted(number)

    def unraisable(self, args: sys.UnraisableHookArgs, /) -> None:
        """Where exceptions of finalizers and callbacks go, for which Python has no caller."""
        if isinstance(args.exc_value, Interrupted):
            self._lost = args.exc_value
            os.write(self._wakeup, bytes([args.exc_value.number]))
        else:
            sys.__unraisablehook__(args)

    def ask_again(self, _: int, __: object) -> None:
        if self._lost is not None:
            lost, self._lost = self._lost, None
            raise lost


def _watch(reader: int, main: int) -> None:
    """Makes the main thread look, a few times after each signal."""
    while number := os.read(reader, 1):
        if number[0] in _STOPS:
            for _ in range(_NUDGES):
                time.sleep(_NUDGE_SECONDS)
                signal.pthread_kill(main, _NUDGE)
