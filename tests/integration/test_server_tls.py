"""TLS in `serve`: certificates, renewal without a restart, and client certificates."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from casync.store.lmdb.store import LmdbStore
from tests.support.certificates import make_authority, make_certificate
from tests.support.program import Program
from tests.support.serving import READY_SECONDS, Server, put_file, serving

DATA = bytes(range(256)) * 40000
HERE = "127.0.0.1"


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    """A folder with a CA and a certificate, beside a store."""
    make_authority(tmp_path / "tls")
    make_certificate(tmp_path / "tls", "server", HERE)
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        put_file(store, DATA, name="x")
    return tmp_path / "tls"


@pytest.fixture
def server(tls: Path, tmp_path: Path) -> Iterator[Server]:
    cert, key = str(tls / "server.pem"), str(tls / "server.key")
    with serving(tmp_path / "store", tls_cert=cert, tls_key=key, workers=2) as server:
        yield server


def trusting(tls: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=tls / "ca.pem")


def shown(server: Server, context: ssl.SSLContext) -> bytes | None:
    """The certificate on a new connection."""
    with (
        socket.create_connection((HERE, server.port), timeout=READY_SECONDS) as sock,
        context.wrap_socket(sock, server_hostname=HERE) as secure,
    ):
        return secure.getpeercert(binary_form=True)


def test_content_travels_over_tls(server: Server, tls: Path, tmp_path: Path) -> None:
    assert server.url.startswith("https://127.0.0.1:")
    program = Program(tmp_path)
    program.good("pull", "x", "-o", "out", "--server", server.url, "--ca", str(tls / "ca.pem"))
    assert (tmp_path / "out").read_bytes() == DATA
    with httpx.Client(verify=trusting(tls), trust_env=False) as client:
        answer = client.get(f"{server.url}/v1/files/x", headers={"Range": "bytes=5-9"})
        assert (answer.status_code, answer.content) == (206, DATA[5:10])
    refused = program.run("ls", "--server", server.url, "--retry-for", "1s")
    assert refused.status == 5
    assert "certificate" in refused.err


def test_old_tls_and_plain_http_are_refused(server: Server, tls: Path) -> None:
    old = trusting(tls)
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    shown(server, old)
    with pytest.raises(httpx.HTTPError):
        httpx.get(server.url.replace("https", "http") + "/healthz", trust_env=False)


def test_a_renewed_certificate_is_shown_without_a_stop(server: Server, tls: Path) -> None:
    context = trusting(tls)
    before = shown(server, context)
    with httpx.Client(verify=context, trust_env=False) as client:
        assert client.get(f"{server.url}/healthz").status_code == 200
        make_certificate(tls, "server", HERE)
        server.mark()
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("reloaded the certificate", times=2)
        assert client.get(f"{server.url}/healthz").status_code == 200, "the connection stays"
    after = {shown(server, context) for _ in range(10)}
    assert before not in after
    (tls / "server.key").write_text("nothing")
    server.mark()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("keeping the old certificate")
    assert {shown(server, context) for _ in range(5)} == after
    assert server.stop() == 0


def test_a_worker_that_is_starting_reads_a_renewed_certificate_too(server: Server) -> None:
    server.process.send_signal(signal.SIGHUP)  # the second worker has only just been started
    server.wait_for("reloaded the certificate", times=2)
    assert server.stop() == 0


def test_clients_must_show_a_certificate_of_their_authority(tls: Path, tmp_path: Path) -> None:
    make_certificate(tls, "client")
    make_authority(tls / "other")
    make_certificate(tls / "other", "client")
    with serving(
        tmp_path / "store",
        tls_cert=str(tls / "server.pem"),
        tls_key=str(tls / "server.key"),
        client_ca=str(tls / "ca.pem"),
    ) as server:
        url = server.url
        for folder, let_in in ((tls, True), (tls / "other", False), (None, False)):
            context = trusting(tls)
            if folder is not None:
                context.load_cert_chain(folder / "client.pem", folder / "client.key")
            with httpx.Client(verify=context, trust_env=False) as client:
                if let_in:
                    assert client.get(f"{url}/healthz").text == "ok\n"
                else:
                    with pytest.raises(httpx.HTTPError):
                        client.get(f"{url}/healthz")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tls-cert", "server.pem"], "a certificate and its key belong together"),
        (["--client-ca", "ca.pem"], "client certificates need TLS"),
        (["--tls-cert", "server.pem", "--tls-key", "ca.key"], "cannot use"),
        (["--tls-cert", "nothing.pem", "--tls-key", "server.key"], "No such file"),
    ],
)
def test_unusable_files_are_reported_at_the_start(
    tls: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    paths = [word if word.startswith("--") else str(tls / word) for word in arguments]
    ran = Program(tmp_path).run("serve", "--listen", "127.0.0.1:0", *paths)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_connections_without_a_handshake_are_counted_and_end(tls: Path, tmp_path: Path) -> None:
    settings = {"address_connections": 5, "header_seconds": 2.0}
    cert, key = str(tls / "server.pem"), str(tls / "server.key")
    with serving(tmp_path / "store", settings, tls_cert=cert, tls_key=key) as server:
        silent = [server.connect() for _ in range(5)]
        with server.connect() as refused:
            assert _ends(refused)
        server.wait_for("too many connections from your address")
        assert all(_ends(sock) for sock in silent)
        server.wait_for("TLS handshake took longer than 2 s", times=5)
        with httpx.Client(verify=trusting(tls), trust_env=False) as client:
            assert client.get(f"{server.url}/healthz").text == "ok\n"
        with server.connect() as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            server.wait_for("TLS handshake failed")
        for sock in silent:
            sock.close()
        assert server.stop() == 0


def test_a_stop_ends_handshakes(tls: Path, tmp_path: Path) -> None:
    cert, key = str(tls / "server.pem"), str(tls / "server.key")
    settings = {"header_seconds": 1000.0}
    with (
        serving(tmp_path / "store", settings, tls_cert=cert, tls_key=key, grace=500.0) as server,
        server.connect() as sock,
    ):
        with httpx.Client(verify=trusting(tls), trust_env=False) as client:
            client.get(f"{server.url}/healthz")  # the silent one was accepted before it
        assert server.stop() == 0
        assert _ends(sock)


def _ends(sock: socket.socket) -> bool:
    """Whether the server ends a connection without a byte."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_key_that_any_user_may_read_is_warned_of_once(tls: Path, tmp_path: Path) -> None:
    cert, key = tls / "server.pem", tls / "server.key"
    for mode, warnings in ((0o600, 0), (0o644, 1)):
        key.chmod(mode)
        with serving(tmp_path / "store", tls_cert=str(cert), tls_key=str(key), workers=2) as server:
            assert sum("any user of this machine may read" in x for x in server.lines) == warnings
