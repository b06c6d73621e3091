"""Stores with content in them, and servers over them, for the tests of the server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from casync.ids import Kind, ManifestId, chunk_id
from casync.names.name import parse_name
from casync.names.name_update import NameUpdate
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Packer, Verified
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import NodeBuilder, Run
from casync.store.base import Batch, ManifestState, ObjectStore

PARAMS = ChunkerParams(1024, 4096, 16384)
BASE = "http://127.0.0.1:8080"
READY_SECONDS = 30.0
"""How long a server may take to start on a busy machine."""


def put_file(
    store: ObjectStore,
    data: bytes,
    *,
    name: str = "",
    size: int = 4096,
    state: ManifestState = ManifestState.FULL,
) -> ManifestId:
    """Stores `data` in chunks of `size` bytes; how they are cut does not matter to a server."""
    packer = Packer()
    objects: list[Verified] = []
    builder = NodeBuilder(lambda ident, plain: objects.append(packer.pack(Kind.NODE, ident, plain)))
    for at in range(0, len(data), size):
        chunk = data[at : at + size]
        objects.append(packer.pack(Kind.CHUNK, chunk_id(chunk), chunk))
        builder.add(Run(chunk_id(chunk), len(chunk), 1))
    manifest = packer.pack_new(
        Kind.MANIFEST, encode_manifest(Manifest("file", PARAMS, builder.finish()))
    )
    ident = ManifestId(manifest.id)
    store.commit(
        Batch(
            objects=[*objects, manifest],
            manifests=[(ident, state, len(data))],
            names=[NameUpdate(parse_name(name), ident)] if name else [],
        )
    )
    return ident


def ask(
    app: ASGIApp, method: str, url: str, *, host: str = BASE, **arguments: Any
) -> httpx.Response:
    """One request to an application in this process."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=host) as client:
            return await client.request(method, url, **arguments)

    return asyncio.run(send())


def until(condition: Callable[[], object], what: str) -> None:
    """Waits until a condition holds; `what` it is, for the failure."""
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Server:
    """A real `serve` in a process of its own. Its log is read all the time, so it never blocks."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._seen = 0
        self._ended = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self.wait_for("serving ").rpartition(" on ")[2]
        self.port = int(self.url.rpartition(":")[2]) if self.url.startswith("http") else 0

    def _read(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            with self._news:
                self.lines.append(raw.decode().rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def mark(self) -> None:
        """Makes `wait_for` ignore the lines logged so far."""
        with self._news:
            self._seen = len(self.lines)

    def wait_for(self, text: str, times: int = 1) -> str:
        """The first line since the mark that holds `text`, or the second, or the third…"""
        deadline = time.monotonic() + READY_SECONDS
        with self._news:
            while True:
                lines = [line for line in self.lines[self._seen :] if text in line]
                if len(lines) >= times:
                    return lines[times - 1]
                left = deadline - time.monotonic()
                assert left > 0, f"{text!r} was not logged: {self.lines}"
                assert not self._ended, f"ended without {text!r}: {self.lines}"
                self._news.wait(left)

    def settle(self) -> None:
        """Waits until every answer so far is in the log. Works with one worker only."""
        mark = f"/healthz?settle={time.monotonic_ns()}"
        httpx.get(f"{self.url}{mark}", timeout=READY_SECONDS)
        self.wait_for(mark)

    def connect(self) -> socket.socket:
        """A connection to it, with a timeout."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=READY_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def workers(self) -> list[int]:
        """The pids of its workers."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return [int(pid) for pid in Path(path).read_text().split()]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits; returns the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Waits for the end; returns the exit status."""
        status = self.process.wait(timeout=READY_SECONDS)
        self._reader.join(timeout=READY_SECONDS)
        return status

    def close(self) -> None:
        """Kills it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(timeout=READY_SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()


_RUN = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the shell that runs the tests does
from pathlib import Path
from casync.errors import CasyncError
from casync_server.main import serve
from casync_server.options import ServeOptions, Upstream
options = eval(sys.argv[1])
for name in {"store", "tls_cert", "tls_key", "client_ca", "audit_log", "import_root"} & {*options}:
    options[name] = Path(options[name])
try:
    sys.exit(serve(ServeOptions(**options)))
except CasyncError as error:
    print(f"{error.code}: {error.message}", file=sys.stderr)
    sys.exit(9)
"""


def command(options: Mapping[str, Any]) -> list[str]:
    """What runs `serve` with `options`."""
    return [sys.executable, "-c", _RUN, repr(dict(options))]


@contextlib.contextmanager
def serving(
    store: Path, settings: Mapping[str, Any] | None = None, **options: Any
) -> Iterator[Server]:
    """A server over `store`, on a port of its own, stopped hard at the end if it still runs.

    Args:
        store: The folder of the store.
        settings: Fields of `ServerSettings`.
        options: Fields of `ServeOptions`.
    """
    options = {"store": str(store), "listen": ("127.0.0.1:0",), "grace": 5.0} | options
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    environment |= {
        f"CASYNC_SERVE_{field.upper()}": str(value) for field, value in (settings or {}).items()
    }
    process = subprocess.Popen(
        command(options), stderr=subprocess.PIPE, env=environment, start_new_session=True
    )
    with server_of(process) as server:
        yield server


@contextlib.contextmanager
def server_of(process: subprocess.Popen[bytes]) -> Iterator[Server]:
    """The server that a process becomes; killed at the end if it still runs."""
    server = None
    try:
        server = Server(process)
        yield server
    finally:
        if server is None:
            process.kill()
            process.communicate()
        else:
            server.close()


@contextlib.contextmanager
def serving_here(app: FastAPI) -> Iterator[str]:
    """An application on a port of its own, served by a thread; its URL."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def read_answer(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Reads one answer up to the end of the connection, or of its Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            break
        data += part
    if not data:
        return 0, {}, b""
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines)
    length = int(fields.get("content-length", "-1"))
    while length < 0 or len(body) < length:
        part = sock.recv(65536)
        if not part:
            break
        body += part
    return int(status.split(" ")[1]), fields, body
