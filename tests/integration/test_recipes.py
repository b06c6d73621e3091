"""The recipes in docs/recipes, as written, with their programs."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.servers import free_port
from casync.store.lmdb.store import LmdbStore
from tests.support.certificates import tool
from tests.support.program import ROOT, Program
from tests.support.serving import READY_SECONDS, Server, put_file, serving

RECIPES = ROOT / "docs" / "recipes"
NAME = "chunks.example.com"
DATA = random.Random(9).randbytes(3_000_000)


def recipe(name: str, changes: dict[str, str]) -> str:
    """A recipe with the paths of this test; each replaced text must be in it."""
    text = (RECIPES / name).read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A folder with cert.pem and key.pem, and with both in one file for HAProxy."""
    folder = tmp_path / "tls"
    folder.mkdir()
    subprocess.run(
        [
            *(tool("openssl", "openssl"), "req", "-x509", "-nodes"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *f"-days 2 -subj /CN={NAME} -addext subjectAltName=DNS:{NAME},IP:127.0.0.1".split(),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    both = (folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes()
    (folder / "both.pem").write_bytes(both)
    return folder


@contextlib.contextmanager
def running(*command: str | Path, port: int, **environment: str) -> Iterator[None]:
    """A proxy in the foreground, once it listens."""
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture(params=["nginx", "haproxy"])
def proxy(
    request: pytest.FixtureRequest, tmp_path: Path, certificate: Path
) -> Iterator[tuple[str, Server]]:
    """The port of a proxy set up by the recipe, and the server behind it."""
    with LmdbStore.open(tmp_path / "origin", create=True) as store:
        put_file(store, DATA, name="vm/1")
    port = free_port()
    with serving(tmp_path / "origin", {"hosts": NAME}) as server:
        behind = f"127.0.0.1:{server.port}"
        if request.param == "nginx":
            nginx = tool("nginx", "nginx-light")
            config = recipe(
                "nginx.conf",
                {
                    "127.0.0.1:8080": behind,
                    "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
                    "/etc/ssl/casync": str(certificate),
                },
            )
            config = (
                f"daemon off; worker_processes 1; pid {tmp_path}/nginx.pid;\n"
                f"error_log {tmp_path}/nginx.log;\nevents {{}}\n"
                f"http {{\naccess_log off; client_body_temp_path {tmp_path}/body;\n"
                f"proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/fastcgi;\n"
                f"uwsgi_temp_path {tmp_path}/uwsgi; scgi_temp_path {tmp_path}/scgi;\n{config}}}\n"
            )
            command: list[str | Path] = [nginx, "-p", tmp_path, "-c", tmp_path / "proxy.conf"]
            command += ["-e", tmp_path / "nginx.log"]
            settings: dict[str, str] = {}
        else:
            haproxy = tool("haproxy", "haproxy")
            config = recipe(
                "haproxy.cfg",
                {
                    "bind :443 ssl": f"bind 127.0.0.1:{port} ssl",
                    "/etc/haproxy/cert.pem": str(certificate / "both.pem"),
                },
            )
            command = [haproxy, "-db", "-f", tmp_path / "proxy.conf"]
            settings = {"CASYNC_BACKEND": behind}
        (tmp_path / "proxy.conf").write_text(config)
        with running(*command, port=port, **settings):
            yield f"https://127.0.0.1:{port}", server


def test_a_pull_goes_through(proxy: tuple[str, Server], certificate: Path, tmp_path: Path) -> None:
    url, _ = proxy
    program = Program(tmp_path)
    ca = ["--server", url, "--ca", str(certificate / "cert.pem")]
    program.good("pull", "vm/1", "-o", "out", *ca)
    assert (tmp_path / "out").read_bytes() == DATA
    assert program.good("ls", *ca).lines[0].endswith("\tvm/1")
    refused = program.run("pull", "vm/1", "-o", "other", "--server", url, "--retry-for", "1s")
    assert refused.status == 5
    assert "certificate" in refused.err


def test_proxies_pass_on_what_the_protocol_needs(
    proxy: tuple[str, Server], certificate: Path
) -> None:
    url, server = proxy
    trust = ssl.create_default_context(cafile=certificate / "cert.pem")
    with httpx.Client(base_url=url, verify=trust, trust_env=False, timeout=READY_SECONDS) as ask:
        part = ask.get("/v1/files/vm%2F1", headers={"Range": "bytes=1000000-1000009"})
        assert (part.status_code, part.content) == (206, DATA[1_000_000:1_000_010])
        again = ask.get("/v1/files/vm%2F1", headers={"If-None-Match": part.headers["ETag"]})
        assert again.status_code == 304
        assert ask.get("/healthz").text == "ok\n"
        foreign = ask.get("/v1/info", headers={"Host": "evil.example.com"})
        assert foreign.status_code == 403
        assert ask.get("/v1/info", headers={"Host": NAME}).status_code == 200
        assert ask.get("/v1/info", headers={"Origin": "https://evil.example.com"}).is_error
        server.stop()
        assert ask.get("/v1/info").status_code in (502, 503)


def test_the_environment_of_the_unit_is_accepted(tmp_path: Path) -> None:
    """With the lines that are commented out, and quotes as systemd reads them."""
    unit = (RECIPES / "casync.service").read_text()
    lines = re.findall(r"^#?Environment=(.*)$", unit, re.M)
    variables = dict(word.split("=", 1) for line in lines for word in shlex.split(line))
    program = Program(tmp_path)
    program.environment |= variables
    shown = program.good("config", "show").lines
    hosts = "chunks.example.com chunks.example.net"
    assert f"CASYNC_SERVE_HOSTS\t{hosts}\tCASYNC_SERVE_HOSTS" in shown
    assert "store\t/var/lib/casync/store\tCASYNC_STORE" in shown


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    changes = {"/usr/local/bin/casync": shutil.which("true") or "/bin/true", "#Env": "Env"}
    unit = recipe("casync.service", changes)
    path = tmp_path / "casync.service"
    path.write_text(unit)
    ran = subprocess.run(
        [tool("systemd-analyze", "systemd"), "verify", "--man=no", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_unit_reports_its_state_to_systemd(tmp_path: Path) -> None:
    """Where nothing has made its store yet."""
    program = Program(tmp_path)
    lines = (RECIPES / "casync.service").read_text().splitlines()
    (line,) = [line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart=")]
    words = line.split()
    assert words[0] == "/usr/local/bin/casync"
    words[words.index("127.0.0.1:8080")] = "127.0.0.1:0"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.settimeout(READY_SECONDS)
        told.bind(str(tmp_path / "notify"))
        environment = {**program.environment, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        process = program.start(*words[1:], env=environment)
        try:
            assert told.recv(100) == b"READY=1"
            process.send_signal(signal.SIGTERM)
            assert told.recv(100) == b"STOPPING=1"
            assert process.wait(READY_SECONDS) == 0
            assert (program.store / "data.mdb").exists()
        finally:
            process.kill()
            process.communicate()
