"""Ctrl-C and SIGTERM: the first asks to stop, the second ends the process at once.

A signal arrives as an exception in the main thread, so that everything on its way is unwound as
for any error. Nothing that must survive depends on that: stores and targets stand a kill.

Python runs handlers in the main thread, when that comes by. One that is just about to wait in a
system call, or whose signal the kernel gave to another thread, would not come by; so a thread
watches, and nudges it with a signal that means nothing.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Final, NoReturn

__all__ = ["Interrupted", "stop_on_signals"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_NUDGE: Final = signal.SIGURG
"""Ends a wait of the main thread. Nobody else sends it, and it is ignored unless caught."""
_NUDGES: Final = 5
_NUDGE_SECONDS: Final = 0.05


class Interrupted(KeyboardInterrupt):
    """We were asked to stop.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__("interrupted" if number == signal.SIGINT else "asked to stop")
        self.status = 128 + number


class _Stop:
    """The handler of all signals.

    It does not put another handler in its place: that would run the handlers of signals which came
    at the same time, and the second would pass for a first one.
    """

    def __init__(self) -> None:
        self._asked = False

    def __call__(self, number: int, _: FrameType | None) -> NoReturn:
        if self._asked:
            # No unwinding: whoever asks twice does not want to wait for it.
            os._exit(128 + number)
        self._asked = True
        raise Interrupted(number)


def stop_on_signals() -> None:
    """Turns the first signal into `Interrupted`, for the rest of the process.

    What was ignored before us (`nohup`, `&` in scripts) stays ignored.
    """
    stop = _Stop()
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    signal.signal(_NUDGE, _nudged)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    main = threading.get_ident()
    threading.Thread(target=_watch, args=(reader, main), name="signals", daemon=True).start()


def _nudged(_: int, __: FrameType | None) -> None:
    """That it came at all is what counts: the main thread has looked for other signals."""


def _watch(reader: int, main: int) -> None:
    """Makes the main thread look, a few times after each signal."""
    while number := os.read(reader, 1):
        if number[0] in _SIGNALS:
            for _ in range(_NUDGES):
                time.sleep(_NUDGE_SECONDS)
                signal.pthread_kill(main, _NUDGE)
