"""`serve`: binds, starts the workers, says where it listens, and waits for the end."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from casync.errors import StoppedError, UsageError
from casync.escape import escape
from casync_server.access.access_log import to_stderr
from casync_server.options import ServeOptions
from casync_server.process.address import Listen, bind, exposed, parse_listen, url_of
from casync_server.process.notify import notify
from casync_server.process.signals import SignalReader
from casync_server.process.supervisor import Supervisor
from casync_server.process.tls import make_context, tls_files
from casync_server.process.upkeep import Upkeep
from casync_server.process.worker_order import WorkerOrder
from casync_server.settings import ServerSettings

__all__ = ["serve"]


def serve(options: ServeOptions) -> int:
    """Serves a store until SIGTERM or SIGINT. Call it from the main thread.

    SIGHUP has certificates read and the audit log opened again; with neither it is a SIGTERM.
    A signal stops the start, too. Callers that block these signals until they call this, as the
    command line does, let none of them end the process before.

    Returns:
        0: a stop was asked for, and every answer under way got its end.

    Raises:
        UsageError: The options or settings make no sense, or would show the store to strangers.
        LockedError: Somebody else listens on the address.
        NoStoreError, DamagedStoreError, UnsupportedError: The store cannot be opened.
        StoppedError: Answers had to be broken off at the end of the grace time.
        CasyncError: Workers died again and again.
    """
    with SignalReader(renewals=options.renewals) as signals:
        if not _supervise(options, signals):
            raise StoppedError("stopped before all answers were out")
    return 0


def _supervise(options: ServeOptions, signals: SignalReader) -> bool:
    """Runs workers until a signal comes; returns whether all answers got their end."""
    options.check()
    addresses = [parse_listen(text) for text in options.listen]
    settings = _settings()
    if (files := tls_files(options)) is not None:
        make_context(files)  # what is wrong with them is said before anything starts
    with _bound(addresses) as sockets, _metrics_folder() as metrics:
        order = WorkerOrder(
            options,
            settings.model_dump(mode="json"),
            [sock.fileno() for sock in sockets],
            exposed(addresses, options),
        )

        def release() -> None:
            notify("STOPPING=1")
            for sock in sockets:
                sock.close()

        supervisor = Supervisor(
            order,
            options.workers,
            settings.drain + options.grace,
            signals,
            environment={"PROMETHEUS_MULTIPROC_DIR": metrics} if metrics else {},
            release=release,
            say=to_stderr,
        )

        def announce() -> None:
            for sock in sockets:
                url = escape(url_of(sock, tls=files is not None))
                to_stderr(f"serving {escape(str(options.store))} on {url}")
            notify("READY=1")

        with _upkeep(options):
            return supervisor.run(announce)


def _settings() -> ServerSettings:
    try:
        return ServerSettings()
    except ValidationError as error:
        causes = "; ".join(
            f"CASYNC_SERVE_{'_'.join(str(part) for part in cause['loc']).upper()}: {cause['msg']}"
            for cause in error.errors()
        )
        raise UsageError(f"bad settings: {causes}") from error


def _upkeep(options: ServeOptions) -> contextlib.AbstractContextManager[object]:
    if options.gc_interval is None:
        return contextlib.nullcontext()
    return Upkeep(options.store, options.gc_interval, to_stderr)


@contextlib.contextmanager
def _metrics_folder() -> Iterator[str]:
    """Where workers count together; empty where nothing can be written."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="casync-metrics-", ignore_cleanup_errors=True)
    except OSError as error:
        to_stderr(f"warning: /metrics shows one worker only: {error.strerror}")
        yield ""
        return
    with folder as path:
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
