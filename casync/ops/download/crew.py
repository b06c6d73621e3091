"""Threads that work on one phase of a job, watched by the thread that runs the job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from casync.errors import StoppedError

__all__ = ["Crew"]

_TICK: Final = 0.2
"""Seconds between two looks at a job."""


class Crew:
    """Runs phases of a job in threads.

    Args:
        watch: Called several times a second while a phase runs; ends it by an error.
        stop: Makes all threads end soon, also those that wait for a source. May be called again.
    """

    def __init__(self, watch: Callable[[], None], stop: Callable[[], None]) -> None:
        self._watch = watch
        self._stop = stop

    def run(self, work: Callable[[], None], threads: int = 1) -> None:
        """Runs `work` in threads until all have ended.

        The first error ends all. One that does more than stop wins over StoppedError.

        Raises:
            BaseException: What `work` or `watch` raised.
        """
        errors: list[BaseException] = []
        changed = threading.Condition()
        left = threads

        def run() -> None:
            nonlocal left
            try:
                work()
            except BaseException as error:  # raised by `run`, which waits for it
                with changed:
                    errors.append(error)
            finally:
                with changed:
                    left -= 1
                    changed.notify_all()

        crew = [threading.Thread(target=run, name="download") for _ in range(threads)]
        for thread in crew:
            thread.start()
        try:
            while left and not errors:
                with changed:
                    if left and not errors:
                        changed.wait(_TICK)
                self._watch()
        except BaseException as error:  # raised when the threads have ended
            errors.insert(0, error)
        if errors:
            self._stop()
        for thread in crew:
            thread.join()
        for found in errors:
            if not isinstance(found, StoppedError):
                raise found
        if errors:
            raise errors[0]
