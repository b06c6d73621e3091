"""`serve`: binds the addresses, starts the workers, and runs until a signal."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from casync.errors import StoppedError
from casync.escape import escape
from casync.fs.scratch import scratch_folder
from casync.fs.secret import exposure
from casync_server.access.log_sink import LogSink, notes, to_stderr
from casync_server.options import ServeOptions
from casync_server.process.address import (
    Listen,
    bind,
    exposed,
    parse_listen,
    refuse_own,
    url_of,
)
from casync_server.process.gc_timer import GcTimer
from casync_server.process.notify import notify
from casync_server.process.runner_process import RunnerProcess
from casync_server.process.signals import SignalReader
from casync_server.process.supervisor import Supervisor
from casync_server.process.tls import make_context, tls_files
from casync_server.process.worker_order import CollectorOrder, RunnerOrder, WorkerOrder
from casync_server.settings import read_settings
from casync_server.stores import stores_of

__all__ = ["serve"]


def serve(options: ServeOptions) -> int:
    """Serves a store until SIGTERM or SIGINT. Call it from the main thread.

    SIGHUP reloads certificates and the audit log. A stop signal during startup is honoured, too.
    Callers should block these signals until the call, as the command line does, so that an early
    signal does not kill the process.

    Returns:
        0, after a stop in which every running answer was completed.

    Raises:
        UsageError: Options or settings are invalid, or would expose the store.
        LockedError: Another process listens on the address.
        NoStoreError, DamagedStoreError, UnsupportedError: The store cannot be opened.
        StoppedError: Answers were cut off at the end of the grace time.
        CasyncError: Workers died repeatedly.
    """
    with SignalReader() as signals:
        if not _supervise(options, signals):
            raise StoppedError("stopped before all answers were complete")
    return 0


def _supervise(options: ServeOptions, signals: SignalReader) -> bool:
    """Runs workers until a signal; returns whether all answers were completed."""
    options.check()
    note = notes(quiet=options.quiet)
    addresses = [parse_listen(text) for text in options.listen]
    settings = read_settings()
    if (files := tls_files(options)) is not None:
        make_context(files)  # reports bad files before workers start
        if warning := exposure(files.key):
            note(f"warning: {warning}")
    with _bound(addresses) as sockets, _metrics_folder(note) as metrics:
        if options.upstream is not None:
            refuse_own(options.upstream.url, sockets)
        order = WorkerOrder(
            options,
            settings.model_dump(mode="json"),
            [sock.fileno() for sock in sockets],
            exposed(addresses, options),
        )

        environment = {"PROMETHEUS_MULTIPROC_DIR": metrics} if metrics else {}
        runner = RunnerProcess(
            RunnerOrder(options, order.settings),
            settings.drain + options.grace,
            environment,
            to_stderr,
        )

        def release() -> None:
            notify("STOPPING=1")
            runner.stop()
            for sock in sockets:
                sock.close()

        supervisor = Supervisor(
            order,
            stores_of(options, settings),
            options.workers,
            settings.drain + options.grace,
            signals,
            environment=environment,
            release=release,
            say=to_stderr,
        )

        def announce(warnings: Sequence[str]) -> None:
            for warning in warnings:
                note(f"warning: {warning}")
            for sock in sockets:
                url = escape(url_of(sock, tls=files is not None))
                place = options.store if options.bucket is None else options.bucket.address
                note(f"serving {escape(str(place))} on {url}")
            notify("READY=1")
            if options.jobs:
                runner.start()

        with _gc_timer(CollectorOrder(options, order.settings)), runner:
            return supervisor.run(announce)


def _gc_timer(order: CollectorOrder) -> contextlib.AbstractContextManager[object]:
    interval = order.options.gc_interval
    if interval is None:
        return contextlib.nullcontext()
    return GcTimer(order, interval, to_stderr)


@contextlib.contextmanager
def _metrics_folder(note: LogSink) -> Iterator[str]:
    """A folder for the metrics of all workers; empty if none can be created."""
    with contextlib.ExitStack() as stack:
        path = ""
        try:
            path = str(stack.enter_context(scratch_folder("metrics")))
        except OSError as error:
            note(f"warning: /metrics covers only one worker: {error.strerror}")
        yield path


@contextlib.contextmanager
def _bound(addresses: list[Listen]) -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    made: list[tuple[Path, int]] = []
    try:
        for address in addresses:
            sockets.append(bind(address))
            if address.path is not None:
                made.append((address.path, address.path.stat().st_ino))
        yield sockets
    finally:
        for sock in sockets:
            sock.close()
        for path, inode in made:
            with contextlib.suppress(OSError):
                if path.lstat().st_ino == inode:
                    path.unlink()
