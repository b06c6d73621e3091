"""A worker process: opens the store and serves on inherited sockets until it is stopped.

The supervisor starts it as `python -m casync_server.process.worker` and sends a `WorkerOrder` to
its stdin. It writes to the store in transactions, so it may die at any moment.
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
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Final

import uvicorn

from casync.cutting.process_memory import (
    collect_rarely,
    keep_freed_memory,
    return_freed_memory,
)
from casync.errors import CasyncError, DamagedStoreError, UsageError
from casync.escape import escape
from casync.limits import MIB
from casync.ops.serve.pull_through import PullThrough
from casync.remote.http.address import origin_of
from casync.remote.server.client import RemoteClient
from casync.remote.server.transport_options import TransportOptions
from casync.store.base import ManifestSource
from casync.store.bucket.store import BucketStore
from casync.store.lmdb.creation import store_exists
from casync.store.lmdb.fetch_turns import FetchTurns
from casync.store.lmdb.namespaces import each_namespace, open_for_reading
from casync.store.lmdb.store import LmdbStore
from casync.store.lmdb.tokens import known_tokens
from casync_server.access.access_log import ConnectionLog
from casync_server.access.audit import AuditLog
from casync_server.access.log_sink import notes, to_stderr
from casync_server.access.metrics import forget_dead_workers
from casync_server.app import create_app
from casync_server.damaged_store import DamagedStore
from casync_server.deps import Service
from casync_server.faults import Faults, StoreMarks, data_file_identity
from casync_server.jobs.source_rules import rules_of
from casync_server.limits.loops import trail_through
from casync_server.options import ServeOptions, Upstream
from casync_server.process.address import is_local
from casync_server.process.http_server import HttpServer
from casync_server.process.protocol import protocol_for
from casync_server.process.tls import make_context, renew, tls_files
from casync_server.process.worker_order import (
    WorkerOrder,
    WorkerReport,
    decode_line,
    encode_line,
    report_error,
)
from casync_server.replica.stores import BucketStores
from casync_server.settings import ServerSettings
from casync_server.stores import ServedStores, stores_of

__all__ = ["main"]

_SPARE_FILES: Final = 1024
"""Descriptors besides connections: four per open namespace, sockets, pipes, modules."""

_READER_CHECK_SECONDS: Final = 3600.0
"""Interval for removing stale readers: those of killed processes block the reuse of space."""

_MEMORY_CHECK_SECONDS: Final = 5.0
_KEPT_BYTES: Final = 16 * MIB
"""Memory of answers that is kept for the next ones."""

_PATIENT_THREADS: Final = 16
_UPSTREAM_SECONDS: Final = 15.0
"""Retry time for the upstream server, while a client waits."""

_CLOSE_SECONDS: Final = 5.0
"""Seconds for a bucket to take the end of a session."""

_SWITCH_SECONDS: Final = 0.001
"""How long a reading thread may keep the interpreter while the event loop waits."""


def main() -> int:
    """Runs one worker; returns its exit status."""
    order = decode_line(sys.stdin.buffer.readline(), WorkerOrder)
    threading.Thread(target=_die_with_supervisor, name="supervisor", daemon=True).start()
    # Our own log lines say more than uvicorn's, and without a traceback.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
    settings = ServerSettings.model_validate(order.settings)
    _raise_file_limit(settings.connections + _SPARE_FILES)
    keep_freed_memory()
    forget_dead_workers()
    sys.setswitchinterval(_SWITCH_SECONDS)
    options = order.options
    stores = stores_of(options, settings)
    faults = Faults(stores, order.refused, StoreMarks(order.marks))
    try:
        store = _open(order, faults, stores)
        with closing(store):
            if order.exposed and isinstance(store, LmdbStore):
                _check_exposure(order)
            audit = None if options.audit_log is None else AuditLog(options.audit_log)
            return _serve(options, order.sockets, settings, store, audit, stores, faults)
    except CasyncError as error:
        _report(report_error(error))
        return 1


def _open(order: WorkerOrder, faults: Faults, stores: ServedStores) -> LmdbStore | DamagedStore:
    """Opens the default store, or replaces it if it is damaged and there may be others.

    Raises:
        CasyncError: As `LmdbStore.open`.
    """
    options = order.options
    if isinstance(stores, BucketStores):
        return stores.open_default(is_first=not order.announced)

    def opened(*, create: bool) -> LmdbStore:
        faults.check("")
        return _open_whole(options, create=create)

    identity = data_file_identity(options.store)
    try:
        # Later, a missing store is one that is being restored.
        store = opened(create=not order.announced)
    except DamagedStoreError as error:
        if not order.announced and not any(each_namespace(options.store)):
            raise
        if order.announced:  # otherwise the supervisor prints the warning
            to_stderr(f"warning: {escape(error.message)}")
        return DamagedStore(
            options.store,
            identity,
            error,
            reopen=lambda: opened(create=False).close(),
            renew=lambda: os.kill(os.getpid(), signal.SIGTERM),
        )
    store.watch(faults.watcher(""))
    return store


def _open_whole(options: ServeOptions, *, create: bool) -> LmdbStore:
    """Opens the store; creates a missing one if the options say so, too."""
    path = options.store
    keeps = options.writable or options.jobs or options.upstream is not None
    warnings: list[str] = []
    if create and (keeps or options.create) and not store_exists(path):
        with LmdbStore.open(path, create=True, allow_network_fs=options.allow_network_fs) as made:
            warnings = [*made.warnings, f"the store {escape(str(path))} is new and empty"]
    store = LmdbStore.open(path) if keeps else open_for_reading(path)
    store.warnings += warnings
    return store


def _check_exposure(order: WorkerOrder) -> None:
    options = order.options
    place = options.store if options.bucket is None else options.tokens
    if place is not None and known_tokens(place).required:
        return
    if options.bucket is not None:
        raise UsageError(
            f"refusing to listen on {order.exposed} without authentication",
            next_step="Make a token with `casync token new --create --store DIR` and give "
            "--tokens DIR, or --insecure-no-auth to let anyone in.",
        )
    raise UsageError(
        f"refusing to listen on {order.exposed} without authentication",
        next_step="Make a token with `casync token new`, listen on 127.0.0.1, or give "
        "--insecure-no-auth to let anyone in.",
    )


def _die_with_supervisor() -> None:
    # Waits for the end of the pipe. Exits at once, to free the address for a new server.
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


def _report(report: WorkerReport) -> None:
    with contextlib.suppress(OSError):
        os.write(1, encode_line(report))


def _serve(
    options: ServeOptions,
    descriptors: list[int],
    settings: ServerSettings,
    store: LmdbStore | DamagedStore,
    audit: AuditLog | None,
    stores: ServedStores,
    faults: Faults,
) -> int:
    source: ManifestSource = store
    cache_id = ""
    if options.upstream is not None:
        cache_id = "" if isinstance(store, DamagedStore) else store.store_id
        # Threads also wait for the upstream server.
        settings = settings.model_copy(update={"threads": max(settings.threads, _PATIENT_THREADS)})
        turns = FetchTurns(options.store)
        client = _client(options.upstream, settings.threads, cache_id)
        source = PullThrough(store, client, turns)
    follower = store.follower(to_stderr) if isinstance(store, BucketStore) else None
    if options.tokens is not None:
        known_tokens(options.tokens)  # a folder without a store is refused now
    rules = rules_of(options, settings, is_local=is_local(options.listen))
    app = create_app(
        source,
        settings,
        store_id=lambda: store.store_id,
        cache_id=cache_id,
        writable=store if options.writable else None,
        audit=audit,
        local=store,
        follower=follower,
        tokens=options.tokens,
        stores=stores,
        faults=faults,
        jobs=rules if options.jobs else None,
        any_host=options.insecure_no_auth,
        log_format=options.log_format,
        quiet=options.quiet,
        debug=options.debug,
    )
    files = tls_files(options)
    context = None if files is None else make_context(files)
    protocol = protocol_for(
        settings, ConnectionLog(to_stderr, options.log_format, quiet=options.quiet)
    )
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        forwarded_allow_ips="",
        workers=1,
        # Our protocol closes idle connections; uvicorn's timer must not fire first.
        timeout_keep_alive=int(settings.idle_seconds) + 1,
        timeout_graceful_shutdown=math.ceil(options.grace),
    )
    sockets = [socket.socket(fileno=fd) for fd in descriptors]
    server = HttpServer(config, protocol, sockets, context)
    collect_rarely()
    if follower is not None:
        follower.start()
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_run(server, app.state.service, store, _hangup(options, context, audit)))
    finally:
        if follower is not None:
            follower.stop()
            _close_soon(store)
        sys.stderr.flush()
        # A thread that hangs on a dying disk must not keep the process alive.
        os._exit(1 if server.broken_off else 0)


def _close_soon(store: LmdbStore | DamagedStore) -> None:
    """Ends the session in a bucket, so that collections go on. The bucket may hang."""
    ending = threading.Thread(target=store.close, name="end-session", daemon=True)
    ending.start()
    ending.join(_CLOSE_SECONDS)


def _client(upstream: Upstream, connections: int, own: str) -> RemoteClient:
    tokens = {origin_of(upstream.url): upstream.token} if upstream.token else {}
    options = TransportOptions(
        tokens=tokens,
        ca=upstream.ca,
        connections=connections,
        retry_for=_UPSTREAM_SECONDS,
        trail=lambda: trail_through(own),
    )
    return RemoteClient(upstream.url, options)


def _hangup(
    options: ServeOptions, context: ssl.SSLContext | None, audit: AuditLog | None
) -> Callable[[], None]:
    """Returns a function that reloads the certificate and the audit log, and logs the result."""
    note = notes(quiet=options.quiet)

    def hangup() -> None:
        if audit is not None:
            audit.reopen()
        files = tls_files(options)
        if files is None or context is None:
            return
        try:
            renew(context, files)
        except UsageError as error:
            to_stderr(f"keeping the old certificate: {escape(error.message)}")
        else:
            note("reloaded the certificate")

    return hangup


async def _run(
    server: HttpServer,
    service: Service,
    store: LmdbStore | DamagedStore,
    hangup: Callable[[], None],
) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hangup)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    helpers = [
        loop.create_task(_announce(server, store)),
        loop.create_task(_check_readers(service, store)),
        loop.create_task(_return_memory(service)),
        loop.create_task(_stop(server, service, stop)),
    ]
    try:
        await server.serve()
    finally:
        for helper in helpers:
            helper.cancel()


async def _announce(server: HttpServer, store: LmdbStore | DamagedStore) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    _report(WorkerReport(warnings=list(store.warnings)))


async def _check_readers(service: Service, store: LmdbStore | DamagedStore) -> None:
    while True:
        await asyncio.sleep(_READER_CHECK_SECONDS)
        for each in (store, *service.stores()):
            with contextlib.suppress(CasyncError):
                await service.read(each.reader_check)


async def _return_memory(service: Service) -> None:
    """Returns the memory of many answers, once most of them are over."""
    memory = service.answer_memory
    while True:
        await asyncio.sleep(_MEMORY_CHECK_SECONDS)
        if memory.peak > _KEPT_BYTES and memory.used < memory.peak // 4:
            memory.peak = memory.used
            await service.read(return_freed_memory)


async def _stop(server: HttpServer, service: Service, stop: asyncio.Event) -> None:
    await stop.wait()
    service.draining = True
    await asyncio.sleep(service.settings.drain)
    server.should_exit = True


if __name__ == "__main__":
    sys.exit(main())
