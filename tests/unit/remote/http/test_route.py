"""The way to an https server through a proxy: a tunnel, also inside the proxy's own TLS."""

from __future__ import annotations

import base64
import math
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import httpcore
import pytest

from casync.remote.http.address import parse_address
from casync.remote.http.connection import Line
from casync.remote.http.pool import HttpPool
from casync.remote.http.route import make_route
from tests.support.certificates import make_authority, make_certificate

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
SECRET = base64.b64encode(b"user:pass")


class Listener:
    """Serves one connection after another on a thread; with `tls`, each is encrypted."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.seen: list[bytes] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                with connection:
                    self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        while request := connection.recv(65536):
            self.seen.append(request)
            connection.sendall(HEAD + b"hello")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)


class TunnelProxy(Listener):
    """Connects to the port that it is asked for; any other host but localhost is refused."""

    def serve(self, connection: socket.socket) -> None:
        request = connection.recv(65536)
        self.seen.append(request)
        host, _, port = request.split()[1].partition(b":")
        if host != b"localhost":
            connection.sendall(b"HTTP/1.1 403 Not There\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", int(port))) as there:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pass_on, args=(there, connection), daemon=True)
            back.start()
            pass_on(connection, there)
            there.shutdown(socket.SHUT_RDWR)
            back.join(10)


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    folder = tmp_path_factory.mktemp("tls")
    authority = make_authority(folder)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*make_certificate(folder, "localhost"))
    return authority, tls


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_go_through_one_tunnel(
    certificates: tuple[Path, ssl.SSLContext], scheme: str
) -> None:
    authority, tls = certificates
    proxy = TunnelProxy(tls if scheme == "https" else None)
    server = Listener(tls)
    pool = open_pool(
        f"https://localhost:{server.port}", f"{scheme}://localhost:{proxy.port}", authority
    )
    try:
        for _ in range(2):
            answer = pool.send("GET", b"/x", [(b"host", b"x")])
            assert (answer.status, b"".join(answer.body())) == (200, b"hello")
            answer.close()
    finally:
        pool.close()
        server.close()
        proxy.close()
    (asked,) = proxy.seen
    assert asked.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % server.port)
    assert b"proxy-authorization: Basic " + SECRET in asked
    assert server.seen == [b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n"] * 2


def test_a_proxy_that_opens_no_tunnel_is_an_error(
    certificates: tuple[Path, ssl.SSLContext],
) -> None:
    proxy = TunnelProxy(None)
    pool = open_pool("https://elsewhere.example", f"http://localhost:{proxy.port}", certificates[0])
    try:
        with pytest.raises(httpcore.ProxyError, match="403 Not There"):
            pool.send("GET", b"/x", [])
    finally:
        pool.close()
        proxy.close()


def test_a_proxy_of_a_server_without_tls_gets_the_whole_address() -> None:
    proxy = Listener(None)
    pool = open_pool("http://elsewhere.example", f"http://localhost:{proxy.port}", None)
    try:
        pool.send("GET", b"/x?y", [(b"host", b"elsewhere.example")]).close()
    finally:
        pool.close()
        proxy.close()
    assert proxy.seen == [
        b"GET http://elsewhere.example/x?y HTTP/1.1\r\nhost: elsewhere.example\r\n"
        b"proxy-authorization: Basic " + SECRET + b"\r\n\r\n"
    ]


def open_pool(server: str, proxy: str, ca: Path | None) -> HttpPool:
    line = Line(server, min_rate=1.0, window=30.0, limit=None)
    line.begin(math.inf, lambda _: None)
    route = make_route(
        parse_address(server),
        proxy=proxy,
        proxy_auth="user:pass",
        ca=ca,
        egress=None,
        connect_seconds=10.0,
    )
    return HttpPool(route, line)
