"""Keeps a process alive that runs jobs, beside the workers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Self

from casync_server.process.worker_order import RunnerOrder, encode_line

__all__ = ["RunnerProcess"]

_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 60.0
"""Seconds before it is started again; doubled with each death in a row."""

_STABLE_SECONDS: Final = 60.0
"""Seconds after which a death is no longer one in a row."""


class RunnerProcess:
    """A runner of jobs, from `start` until the end of the with block.

    Args:
        order: What it does.
        grace: Seconds for it to end after SIGTERM.
        environment: Variables for it, besides our own.
        say: Reports an error to the operator.
    """

    def __init__(
        self,
        order: RunnerOrder,
        grace: float,
        environment: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._order = order
        self._grace = grace
        self._environment = environment
        self._say = say
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="job-runner", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._thread.ident is not None:
            self._thread.join()

    def start(self) -> None:
        """Starts it."""
        self._thread.start()

    def stop(self) -> None:
        """Lets it end; its jobs go on after the next start."""
        self._stopped.set()

    def _keep(self) -> None:
        delay = _FIRST_DELAY
        while not self._stopped.is_set():
            began = time.monotonic()
            end = self._run()
            if self._stopped.is_set():
                return
            if time.monotonic() - began >= _STABLE_SECONDS:
                delay = _FIRST_DELAY
            self._say(f"the runner of jobs {end}; starting another in {delay:g} s")
            self._stopped.wait(delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    def _run(self) -> str:
        """Runs one process; returns how it ended."""
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "casync_server.process.job_runner"],
                stdin=subprocess.PIPE,
                env={**os.environ, **self._environment},
                process_group=0,  # Ctrl-C in the terminal reaches only the supervisor
            )
        except OSError as error:
            return f"cannot start: {error.strerror}"
        assert process.stdin is not None
        with process, contextlib.suppress(OSError):  # it died at once; its status shows that
            process.stdin.write(encode_line(self._order))
            process.stdin.flush()
            while process.poll() is None:
                if self._stopped.wait(0.2):
                    self._end(process)
        status = process.wait()
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(self._grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
