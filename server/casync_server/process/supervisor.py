"""Supervises the workers: starts them, restarts dead ones, and stops them in time.

Workers are new processes that inherit the listening sockets, never forks of the caller. One thread
with one selector handles the pipes of the workers, signals, and timers. The supervisor does not
open the store: a broken store kills workers only.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final

from msgspec.structs import replace

from casync.errors import CasyncError
from casync_server.faults import culprit, data_file_identity, marks_file
from casync_server.process.restarts import RestartPolicy, StoreDeaths
from casync_server.process.signals import SignalReader
from casync_server.process.worker_order import (
    WorkerOrder,
    WorkerReport,
    decode_line,
    encode_line,
    error_of,
)
from casync_server.stores import ServedStores

__all__ = ["Supervisor"]

_HARD_SECONDS: Final = 2.0
"""Seconds after the grace time for a worker to exit by itself."""


class _Worker:
    """A worker process and its report.

    Attributes:
        culprit: The namespace on whose store it died, known after `reap`.
    """

    culprit: str | None = None

    def __init__(self, order: WorkerOrder, environment: Mapping[str, str]) -> None:
        self._marks = marks_file()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "casync_server.process.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[*order.sockets, self._marks],
            env={**os.environ, **environment},
            # Ctrl-C in the terminal reaches only the supervisor, which stops the workers.
            process_group=0,
        )
        self.pid = self._process.pid
        self.ready = False
        self.renews = False  # SIGHUP came before it was ready
        self.outdated = False  # another is to be started with a new order
        self._line = b""
        self._reported = False
        with contextlib.suppress(OSError):  # it died at once; the end of its stdout shows that
            self._stdin.write(encode_line(replace(order, marks=self._marks)))
            self._stdin.flush()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def read(self) -> tuple[WorkerReport | None, bool]:
        """Its report, if complete, and whether it has exited."""
        data = os.read(self.stdout.fileno(), 65536)
        if self._reported:
            return None, not data
        self._line += data
        self._reported = b"\n" in self._line
        return decode_line(self._line, WorkerReport) if self._reported else None, not data

    def send(self, number: int) -> None:
        """Sends a signal if the process still runs."""
        self._process.send_signal(number)

    def reap(self) -> int:
        """Waits for its exit; returns its status, negative for a signal."""
        self.stdout.close()
        with contextlib.suppress(OSError):
            self._stdin.close()
        status = self._process.wait()
        self.culprit = culprit(self._marks) if status < 0 else None
        os.close(self._marks)
        return status


def _describe(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


class Supervisor:
    """Runs `count` workers with the same order until a signal.

    Args:
        order: The order of each worker.
        stores: The stores that they use.
        count: Number of workers.
        grace: Seconds that workers get to stop.
        signals: Signals received so far are handled, too.
        environment: Variables for workers, besides our own.
        release: Closes the listening sockets, after the last start of a worker.
        say: Reports an error to the operator.
    """

    def __init__(
        self,
        order: WorkerOrder,
        stores: ServedStores,
        count: int,
        grace: float,
        signals: SignalReader,
        *,
        environment: Mapping[str, str],
        release: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._order = order
        self._stores = stores
        self._environment = environment
        self._release = release
        self._count = count
        self._grace = grace
        self._say = say
        self._signals = signals
        self._selector = selectors.DefaultSelector()
        self._workers: set[_Worker] = set()
        self._policy = RestartPolicy()
        self._store_deaths = StoreDeaths()
        self._due = [time.monotonic()]  # times at which a worker is started or restarted
        self._announced = False
        self._stops = 0  # number of stop signals
        self._hard_at: float | None = None
        self._broken_off = False
        self._failure: CasyncError | None = None

    def run(self, announce: Callable[[Sequence[str]], None]) -> bool:
        """Runs until a signal, or until workers fail for good.

        Args:
            announce: Called once, when the first worker listens, with its warnings.

        Returns:
            Whether all answers in progress at the stop were completed.

        Raises:
            CasyncError: The first worker cannot start, or workers died repeatedly.
        """
        with self._selector:
            self._selector.register(self._signals, selectors.EVENT_READ)
            try:
                while self._workers or self._due:
                    self._step(announce)
            finally:
                for worker in self._workers:
                    worker.send(signal.SIGKILL)
                    worker.reap()
        if self._failure is not None:
            raise self._failure
        return not self._broken_off

    def _start(self) -> None:
        order = replace(self._order, announced=self._announced)
        worker = _Worker(order, self._environment)
        self._workers.add(worker)
        self._selector.register(worker.stdout, selectors.EVENT_READ, worker)

    def _step(self, announce: Callable[[Sequence[str]], None]) -> None:
        now = time.monotonic()
        times = [*self._due, *([] if self._hard_at is None else [self._hard_at])]
        timeout = max(min(times) - now, 0.0) if times else None
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, _Worker):
                self._hear(key.data, announce)
            else:
                self._heed_signals()
        self._tick(time.monotonic())

    def _tick(self, now: float) -> None:
        if self._hard_at is not None and now >= self._hard_at and self._workers:
            self._say(f"killing workers after {self._grace:g} s: answers were still in progress")
            self._hard_at = None
            self._kill()
        for due in [due for due in self._due if due <= now]:
            self._due.remove(due)
            self._start()

    def _hear(self, worker: _Worker, announce: Callable[[Sequence[str]], None]) -> None:
        report, gone = worker.read()
        if report is not None and not report.code:
            worker.ready = True
            if worker.renews:
                worker.send(signal.SIGHUP)
            if worker.outdated:
                worker.send(signal.SIGTERM)
            if not self._announced and not self._stops:
                self._announced = True
                announce(report.warnings)
                for _ in range(self._count - 1):
                    self._start()
        elif report is not None and not self._announced:
            self._failure = error_of(report)
        elif report is not None:
            self._say(f"worker {worker.pid} cannot start: {error_of(report).message}")
        if gone:
            self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        self._selector.unregister(worker.stdout)
        self._workers.discard(worker)
        status = worker.reap()
        if self._stops or self._failure is not None:
            # A worker that was still starting had no signal handlers and no answers.
            self._broken_off = self._broken_off or (worker.ready and status != 0)
            return
        if self._announced and (status == 0 or worker.outdated):  # it was to be replaced
            self._due.append(time.monotonic())
            return
        end = _describe(status)
        if self._announced and worker.culprit is not None:
            self._died_on(worker.culprit, f"worker {worker.pid} {end}")
            return
        delay = self._policy.died(time.monotonic())
        if not self._announced:
            self._failure = CasyncError(f"the first worker {end} before it listened")
        elif delay is None:
            self._failure = CasyncError(
                f"workers die repeatedly; the last one, {worker.pid}, {end}",
                next_step="Run `casync verify` and check the disk.",
            )
            self._give_up()
        else:
            self._say(f"worker {worker.pid} {end}; starting another in {delay:g} s")
            self._due.append(time.monotonic() + delay)

    def _died_on(self, namespace: str, end: str) -> None:
        """Starts another worker, which does not use the store if too many have died on it."""
        place = self._stores.place(namespace)
        now = time.monotonic()
        self._due.append(now)
        if not self._store_deaths.died(namespace, now):
            self._say(f"{end} while it used the store {place}; starting another")
            return
        self._say(
            f"{end} while it used the store {place}, as others before: requests for it get 500 "
            f"damaged-store until its file changes; run `casync verify --store {place}`"
        )
        identity = data_file_identity(self._stores.folder(namespace))
        self._order = replace(self._order, refused=self._order.refused | {namespace: identity})
        for worker in self._workers:
            worker.outdated = True
            if worker.ready:
                worker.send(signal.SIGTERM)

    def _give_up(self) -> None:
        self._due.clear()
        self._kill()

    def _heed_signals(self) -> None:
        stops, renewal = self._signals.read()
        if renewal:
            for worker in self._workers:
                if worker.ready:
                    worker.send(signal.SIGHUP)
                else:
                    worker.renews = True  # without a handler, the signal would kill it
        if stops:
            self._stop(stops)

    def _stop(self, times: int) -> None:
        self._stops += times
        self._due.clear()
        # An open listener would queue connections that no worker accepts.
        self._release()
        if self._stops > 1:
            self._kill()
            return
        self._hard_at = time.monotonic() + self._grace + _HARD_SECONDS
        for worker in self._workers:
            worker.send(signal.SIGTERM)

    def _kill(self) -> None:
        for worker in self._workers:
            worker.send(signal.SIGKILL)
