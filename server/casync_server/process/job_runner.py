"""A process that runs the jobs of a store and its namespaces, until it is stopped.

The server starts it as `python -m casync_server.process.job_runner` and sends a `RunnerOrder` to
its stdin, which ends when the server is gone. It may be killed at any moment: what a job has
committed stays, and the next runner goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from casync.cutting.process_memory import keep_freed_memory
from casync.ops.download.shared_bounds import SharedBounds
from casync_server.access.log_sink import notes, to_stderr
from casync_server.access.metrics import forget_dead_workers
from casync_server.jobs.job_metrics import JobMetrics
from casync_server.jobs.job_queue import JobQueue, ServedJob, next_job
from casync_server.jobs.job_run import JobRules, JobRun
from casync_server.jobs.source_rules import rules_of
from casync_server.process.address import is_local
from casync_server.process.worker_order import RunnerOrder, decode_line
from casync_server.settings import ServerSettings
from casync_server.stores import stores_of

__all__ = ["JobRunner", "main"]

_LOOK_SECONDS: Final = 1.0
_LOOK_SHARE: Final = 0.05
"""Looks take at most this share of the time of their thread, however many jobs there are."""

_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 600.0
"""Seconds before a job that ended by an error runs again; doubled each time."""


class JobRunner:
    """Runs jobs, a few at a time.

    Args:
        order: What to do.
        stopping: Is set when it shall end.
        say: Reports an error to the operator.
    """

    def __init__(
        self, order: RunnerOrder, stopping: threading.Event, say: Callable[[str], None]
    ) -> None:
        options = order.options
        settings = ServerSettings.model_validate(order.settings)
        self._stopping = stopping
        self._say = say
        self._note = notes(quiet=options.quiet)
        self._most = settings.jobs
        self._queue = JobQueue(stores_of(options, settings), say)
        self._metrics = JobMetrics()
        self._rules = JobRules(
            rules_of(options, settings, is_local=is_local(options.listen)),
            settings.disk_spare,
            SharedBounds(settings.jobs_connections),
        )
        self._runs: dict[ServedJob, JobRun] = {}
        self._failures: dict[ServedJob, int] = {}
        self._due: dict[ServedJob, float] = {}

    def run(self) -> None:
        """Runs until it shall stop; then all jobs stop where they are."""
        self._metrics.runners.set(1)
        try:
            pause = 0.0
            while not self._stopping.wait(pause):
                began = time.thread_time()
                self._step(time.monotonic())
                pause = max(_LOOK_SECONDS, (time.thread_time() - began) / _LOOK_SHARE)
        finally:
            self._metrics.runners.set(0)
            for run in self._runs.values():
                run.stop()
            for run in self._runs.values():
                run.join()
            self._queue.close()

    def _step(self, now: float) -> None:
        for key, run in [*self._runs.items()]:
            if run.is_over:
                del self._runs[key]
                self._ended(key, now, failed=run.failed)
                if all(other.namespace != key.namespace for other in self._runs):
                    self._queue.release(key.namespace)  # a session keeps garbage from collections
        found = self._queue.waiting(self._runs)
        waiting = [key for key in found if self._due.get(key, 0.0) <= now]
        while waiting and len(self._runs) < self._most:
            key = next_job(waiting, self._runs)
            waiting.remove(key)
            store = self._queue.store(key.namespace)
            self._runs[key] = JobRun(key, store, self._rules, self._metrics, self._note, self._say)

    def _ended(self, key: ServedJob, now: float, *, failed: bool) -> None:
        if not failed:
            self._failures.pop(key, None)
            self._due.pop(key, None)
            return
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self._due[key] = now + min(_FIRST_PAUSE * 2.0 ** (failures - 1), _LONGEST_PAUSE)


def main() -> int:
    """Runs jobs; returns an exit status."""
    order = decode_line(sys.stdin.buffer.readline(), RunnerOrder)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    threading.Thread(target=_watch, args=(stopping,), name="server", daemon=True).start()
    keep_freed_memory()
    forget_dead_workers()
    JobRunner(order, stopping, to_stderr).run()
    return 0


def _watch(stopping: threading.Event) -> None:
    """Waits until the server is gone."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    stopping.set()


if __name__ == "__main__":
    sys.exit(main())
