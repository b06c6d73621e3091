"""Ctrl-C and SIGTERM: the first asks to stop, the second ends the process at once.

A signal arrives as an exception in the main thread, so that everything on its way is unwound as
for any error. Nothing that must survive depends on that: stores and targets stand a kill.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Final, NoReturn

__all__ = ["Interrupted", "stop_on_signals"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


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
