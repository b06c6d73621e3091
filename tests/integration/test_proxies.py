"""Proxies that ask for a password or limit bodies, and certificates that do not fit."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from casync.store.memory import MemoryStore
from tests.contract.store_contract import noise
from tests.support.certificates import make_authority, make_certificate, tool
from tests.support.gateways import limiting_proxy
from tests.support.peer import Answer, Fault, Peer, Seen, sends
from tests.support.program import Program
from tests.support.serving import put_file, serving

DATA = noise(2_000_000, 6)
SECRET = "us:er:pass"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "here").mkdir()
    program = Program(tmp_path / "here")
    program.good("prepare", "--name", "mine", stdin=DATA)
    return program


def asks(seen: Seen) -> Fault | None:
    given = base64.b64encode(SECRET.encode()).decode()
    if seen.fields.get("proxy-authorization") == f"Basic {given}":
        return None
    return sends(Answer(407, "text/html", b"who is there?"))


def test_a_proxy_gets_its_user_and_password_from_a_file_or_the_environment(
    program: Program, tmp_path: Path
) -> None:
    store = MemoryStore()
    put_file(store, b"content", name="vm")
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "secret").chmod(0o600)
    with Peer(store, asks) as proxy:
        url = ("--server", "http://elsewhere.example", "--proxy", proxy.url)
        refused = program.run("ls", *url, "--json")
        assert (refused.status, refused.problem["code"]) == (8, "denied")
        assert f"the proxy {proxy.url} asks for a user and a password" in refused.err
        assert "--proxy-auth" in refused.err
        wrong = program.run("ls", *url, "-v", "--debug", CASYNC_PROXY_AUTH="us:wrong-secret")
        assert wrong.status == 8
        assert "wrong-secret" not in wrong.err + wrong.text
        assert len(program.good("ls", *url, "--proxy-auth", tmp_path / "secret").lines) == 1
        assert len(program.good("ls", *url, CASYNC_PROXY_AUTH=SECRET).lines) == 1
        path = str(tmp_path / "secret")
        assert len(program.good("ls", *url, CASYNC_PROXY_AUTH_FILE=path).lines) == 1
        tunnel = ("--server", "https://elsewhere.example", "--proxy", proxy.url)
        refused = program.run("ls", *tunnel)
        assert refused.status == 8
        assert "asks for a user and a password" in refused.err
    assert program.run("ls", *url, CASYNC_PROXY_AUTH="no-colon").status == 2


def test_a_dead_proxy_is_named(program: Program) -> None:
    url = ("--server", "http://elsewhere.example", "--proxy", "http://127.0.0.1:1")
    assert "cannot connect to the proxy http://127.0.0.1:1" in program.run("ls", *url).err


def test_a_status_of_a_proxy_that_nobody_named(program: Program) -> None:
    with Peer(MemoryStore(), asks) as peer:
        refused = program.run("ls", "--server", peer.url)
    assert refused.status == 8
    assert f"a proxy before {peer.url} asks for a user and a password" in refused.err


def test_a_push_fits_into_the_body_limit_of_a_proxy(program: Program, tmp_path: Path) -> None:
    with serving(tmp_path / "there", {"disk_spare": 0}, writable=True) as server:
        with limiting_proxy(server.port, 40_000) as url:
            refused = program.run("push", "mine", "--server", url)
            assert refused.status == 5
            assert f"a proxy before {url} does not take a body of" in refused.err
            assert "client_max_body_size" in refused.err
        with limiting_proxy(server.port, 300_000) as url:
            program.good("push", "mine", "--server", url)
        assert program.good("cat", "mine", "--server", server.url).out == DATA


def test_what_is_wrong_with_a_certificate_is_said_even_with_an_authority(
    program: Program, tmp_path: Path
) -> None:
    folder = tmp_path / "tls"
    ca = make_authority(folder)
    certificate, key = make_certificate(folder, "localhost")
    with serving(program.store, tls_cert=str(certificate), tls_key=str(key)) as server:
        port = server.port
        for host, given, words in (
            ("127.0.0.1", ca, ["is for another host", "subjectAltName"]),
            ("localhost", None, ["cannot be trusted", "Give its authority with --ca"]),
            ("localhost", certificate, ["signed the certificate", "--ca FILE"]),
        ):
            arguments = ("--server", f"https://{host}:{port}") + (("--ca", given) if given else ())
            failed = program.run("ls", *map(str, arguments))
            assert failed.status == 5
            assert all(word in failed.err for word in words), failed.err
        program.good("ls", "--server", f"https://localhost:{port}", "--ca", ca)
    subprocess.run(
        [
            *(tool("openssl", "openssl"), "x509", "-req", "-in", "localhost.csr"),
            *("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "-1"),
            *("-extfile", "localhost.ext", "-out", "localhost.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    with serving(program.store, tls_cert=str(certificate), tls_key=str(key)) as server:
        failed = program.run("ls", "--server", f"https://localhost:{server.port}", "--ca", ca)
    assert failed.status == 5
    assert "has expired" in failed.err
    assert "--ca" not in failed.err
