"""Runs garbage collections at intervals, each in its own process.

As with `casync gc`, the process may be killed at any moment, and the store stays in use meanwhile.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from casync_server.process.worker_order import CollectorOrder, encode_line

__all__ = ["GcTimer"]

_PATIENCE_SECONDS: Final = 10.0
"""Seconds for a collection to exit after SIGTERM."""


class GcTimer:
    """Runs a collection every `interval` seconds while entered, one at a time.

    Args:
        order: What to collect.
        interval: Seconds from the start, or from the end of the last collection, to the next.
        say: Reports an error to the operator.
    """

    def __init__(self, order: CollectorOrder, interval: float, say: Callable[[str], None]) -> None:
        self._order = order
        self._interval = interval
        self._say = say
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gc-timer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            try:
                process = self._start()
            except OSError as error:
                self._say(f"cannot collect: {error.strerror}")
                continue
            while process.poll() is None:
                if self._stopped.wait(0.2):
                    self._end(process)
            if process.returncode < 0 and not self._stopped.is_set():
                self._say(f"the collection was killed by signal {-process.returncode}")

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "casync_server.process.collector"],
            stdin=subprocess.PIPE,
            process_group=0,  # Ctrl-C in the terminal reaches only the supervisor
        )
        assert process.stdin is not None
        with suppress(OSError), process.stdin:  # it died at once; its status shows that
            process.stdin.write(encode_line(self._order))
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
