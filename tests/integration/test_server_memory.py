"""Memory of a server whose clients do not read what they asked for."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.limits import MIB
from casync.store.lmdb.store import LmdbStore
from tests.support.certificates import make_authority, make_certificate
from tests.support.server_clients import request
from tests.support.serving import READY_SECONDS, Server, put_file, read_answer, serving

READERS = 100
STREAM_BYTES = 32 * MIB
DATA = os.urandom(16 * MIB)
LIMITS = {"stream_bytes": STREAM_BYTES, "stall_seconds": 1000.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a file of small chunks and one of large chunks, and a certificate beside it."""
    folder = tmp_path_factory.mktemp("memory")
    with LmdbStore.open(folder / "store", create=True, map_bytes=2**30) as store:
        put_file(store, DATA, name="small-chunks", size=64 * 1024)
        put_file(store, DATA, name="large-chunks", size=4 * MIB)
    make_authority(folder / "tls")
    make_certificate(folder / "tls", "server", "127.0.0.1")
    return folder / "store"


def memory_of(server: Server) -> int:
    """Bytes of memory of the worker that are not a file's."""
    (pid,) = server.workers()
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024


def get(server: Server, name: str) -> bytes:
    return request(server, f"GET /v1/files/{name} HTTP/1.1\r\nHost: HOST\r\n\r\n")


@contextlib.contextmanager
def stalled(server: Server, name: str, context: ssl.SSLContext | None) -> Iterator[None]:
    """Many clients that ask for a file and read nothing, once the server has done all it can."""
    with contextlib.ExitStack() as stack:
        for _ in range(READERS):
            sock = stack.enter_context(server.connect())
            if context is not None:
                sock = stack.enter_context(context.wrap_socket(sock, server_hostname="127.0.0.1"))
            sock.sendall(get(server, name))
        yield


def pull_from_elsewhere(server: Server, name: str, context: ssl.SSLContext | None) -> bytes:
    """Reads a file with another address than that of all other clients."""
    address = ("127.0.0.1", server.port)
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(
            socket.create_connection(address, READY_SECONDS, source_address=("127.0.0.2", 0))
        )
        if context is not None:
            sock = stack.enter_context(context.wrap_socket(sock, server_hostname="127.0.0.1"))
        sock.sendall(get(server, name))
        status, _, body = read_answer(sock)
        assert status == 200
        return body


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("name", ["small-chunks", "large-chunks"])
def test_clients_that_do_not_read_hold_little_and_not_the_share_of_others(
    store: Path, name: str, *, tls: bool
) -> None:
    folder = store.parent / "tls"
    options = {}
    context = None
    if tls:
        options = {"tls_cert": str(folder / "server.pem"), "tls_key": str(folder / "server.key")}
        context = ssl.create_default_context(cafile=folder / "ca.pem")
    with serving(store, LIMITS, **options) as server:
        assert pull_from_elsewhere(server, name, context) == DATA
        before = memory_of(server)
        with stalled(server, name, context):
            # What is read for others now comes after all that is read for them.
            for _ in range(2):
                assert pull_from_elsewhere(server, name, context) == DATA
            grown = memory_of(server) - before
        # The account, objects that four threads read at once, and the buffers of connections.
        # Without an account each reader held several MiB.
        assert grown < STREAM_BYTES + 4 * 4 * MIB + READERS * (320 * 1024 if tls else 64 * 1024)
