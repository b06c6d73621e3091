"""A worker process: opens the store, answers on sockets that it was given, stops when told.

Started by the supervisor as `python -m casync_server.worker`; what it shall do comes over stdin
(job.py). What it writes to the store is written in transactions, so it may die at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import uvicorn

from casync.errors import CasyncError
from casync.heap import keep_freed_memory
from casync.store.lmdb import LmdbStore
from casync_server.access_log import to_stderr
from casync_server.app import create_app
from casync_server.deps import Service
from casync_server.job import Job, Report, decode_line, encode_line, report_error
from casync_server.metrics import forget_dead_workers
from casync_server.protocol import protocol_for
from casync_server.settings import ServerSettings

__all__ = ["main"]

_SPARE_FILES: Final = 64
"""Descriptors besides connections: the store, sockets, pipes, modules."""

_READER_CHECK_SECONDS: Final = 3600.0
"""Stale readers of killed processes keep the store from reusing space."""

_SWITCH_SECONDS: Final = 0.001
"""How long a thread that reads may keep the interpreter while the event loop waits for it."""


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handling, which ends the process by the signal."""

    broken_off = 0
    """Answers that were still under way at the end of the grace time."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        grace = self.config.timeout_graceful_shutdown or 0
        # uvicorn waits a moment before it counts, and then does not say what it cancels.
        asyncio.get_running_loop().call_later(grace + 0.05, self._count)
        await super().shutdown(sockets)

    def _count(self) -> None:
        self.broken_off = len(self.server_state.tasks)


def main() -> int:
    """Runs one worker; returns its exit status."""
    job = decode_line(sys.stdin.buffer.readline(), Job)
    threading.Thread(target=_die_with_supervisor, name="supervisor", daemon=True).start()
    # Lines of uvicorn say less than our own, and with a traceback.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
    settings = ServerSettings.model_validate(job.settings)
    _raise_file_limit(settings.connections + _SPARE_FILES)
    keep_freed_memory()
    forget_dead_workers()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        store = LmdbStore.open(
            Path(os.fsdecode(job.store)),
            create=job.writable,
            read_only=not job.writable,
            allow_network_fs=job.allow_network_fs,
        )
    except CasyncError as error:
        _report(report_error(error))
        return 1
    with store:
        return _serve(job, settings, store)


def _die_with_supervisor() -> None:
    # Waits for the end of the pipe. Nobody else could take our sockets, so there is no grace.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(1)


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _report(report: Report) -> None:
    with contextlib.suppress(OSError):
        os.write(1, encode_line(report))


def _serve(job: Job, settings: ServerSettings, store: LmdbStore) -> int:
    writable = store if job.writable else None
    app = create_app(store, settings, store_id=store.store_id, writable=writable)
    config = uvicorn.Config(
        app,
        http=protocol_for(settings, to_stderr),
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        forwarded_allow_ips="",
        workers=1,
        # Our own protocol closes idle connections; uvicorn's timer must not be the earlier one.
        timeout_keep_alive=int(settings.idle_seconds) + 1,
        timeout_graceful_shutdown=math.ceil(settings.grace),
    )
    server = _Server(config)
    sockets = [socket.socket(fileno=fd) for fd in job.sockets]
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_run(server, sockets, app.state.service, store))
    finally:
        sys.stderr.flush()
        # A reading thread may hang on a dying disk; it must not keep the process.
        os._exit(1 if server.broken_off else 0)


async def _run(
    server: _Server, sockets: list[socket.socket], service: Service, store: LmdbStore
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    helpers = [
        loop.create_task(_announce(server, store)),
        loop.create_task(_check_readers(service, store)),
        loop.create_task(_stop(server, service, stop)),
    ]
    try:
        await server.serve(sockets=sockets)
    finally:
        for helper in helpers:
            helper.cancel()


async def _announce(server: _Server, store: LmdbStore) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    _report(Report(warnings=list(store.warnings)))


async def _check_readers(service: Service, store: LmdbStore) -> None:
    while True:
        await asyncio.sleep(_READER_CHECK_SECONDS)
        with contextlib.suppress(CasyncError):
            await service.read(store.reader_check)


async def _stop(server: _Server, service: Service, stop: asyncio.Event) -> None:
    await stop.wait()
    service.draining = True
    await asyncio.sleep(service.settings.drain)
    server.should_exit = True


if __name__ == "__main__":
    sys.exit(main())
