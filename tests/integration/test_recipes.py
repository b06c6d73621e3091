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
from functools import partial
from pathlib import Path

import httpx
import pytest

from benchmarks.servers import free_port
from casync.store.lmdb.store import LmdbStore
from tests.support.certificates import tool
from tests.support.cluster import Cluster, is_ready, kill_host
from tests.support.program import ROOT, Program
from tests.support.serving import READY_SECONDS, Server, put_file, serving, until

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


def words_of(unit: str) -> list[str]:
    """The command of a unit, on a free port."""
    (line,) = re.findall(r"^ExecStart=(.*)$", (RECIPES / unit).read_text(), re.M)
    words: list[str] = line.split()
    assert words.pop(0) == "/usr/local/bin/casync"
    words[words.index("127.0.0.1:8080")] = "127.0.0.1:0"
    return words


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


def nginx_with(name: str, changes: dict[str, str], port: int, certificate: Path) -> str:
    """A configuration of nginx with a recipe, for a folder beside that of the certificate."""
    folder = certificate.parent
    changes |= {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/casync": str(certificate),
    }
    return (
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid;\n"
        f"error_log {folder}/nginx.log;\nevents {{}}\n"
        f"http {{\naccess_log off; client_body_temp_path {folder}/body;\n"
        f"proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n"
        f"uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n"
        f"{recipe(name, changes)}}}\n"
    )


def nginx_command(folder: Path) -> list[str | Path]:
    nginx = tool("nginx", "nginx-light")
    return [nginx, "-p", folder, "-c", folder / "proxy.conf", "-e", folder / "nginx.log"]


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
            config = nginx_with("nginx.conf", {"127.0.0.1:8080": behind}, port, certificate)
            command = nginx_command(tmp_path)
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


def test_a_replica_that_is_gone_is_passed_over(certificate: Path, tmp_path: Path) -> None:
    program, port = Program(tmp_path), free_port()
    program.environment["CASYNC_SERVE_HOSTS"] = f"127.0.0.1:{port}"
    cluster = Cluster(program, f"file://{tmp_path}/bucket", {})
    cluster.prepare("vm/1", DATA)
    with cluster.replica("one") as one, cluster.replica("two") as two:
        behind = {f"replica{n}:8080": f"127.0.0.1:{each.port}" for n, each in ((1, one), (2, two))}
        config = nginx_with("nginx-replicas.conf", behind, port, certificate)
        (tmp_path / "proxy.conf").write_text(config)
        with running(*nginx_command(tmp_path), port=port):
            for server in (one, two):
                until(partial(is_ready, server), "the first sync")
            ca = ["--server", f"https://127.0.0.1:{port}", "--ca", str(certificate / "cert.pem")]
            for number in range(4):
                if number == 2:
                    kill_host(one)
                    one.process.wait()
                program.good("pull", "vm/1", "-o", f"out{number}", "--store", f"s{number}", *ca)
                assert (tmp_path / f"out{number}").read_bytes() == DATA
            assert any("/v1/objects/fetch" in line for line in one.lines)


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


@pytest.mark.parametrize("name", ["casync.service", "casync-replica.service"])
def test_systemd_accepts_the_unit(tmp_path: Path, name: str) -> None:
    changes = {"/usr/local/bin/casync": shutil.which("true") or "/bin/true", "#Env": "Env"}
    unit = recipe(name, changes)
    path = tmp_path / name
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
    words = words_of("casync.service")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.settimeout(READY_SECONDS)
        told.bind(str(tmp_path / "notify"))
        environment = {**program.environment, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        process = program.start(*words, env=environment)
        try:
            assert told.recv(100) == b"READY=1"
            process.send_signal(signal.SIGTERM)
            assert told.recv(100) == b"STOPPING=1"
            assert process.wait(READY_SECONDS) == 0
            assert (program.store / "data.mdb").exists()
        finally:
            process.kill()
            process.communicate()


def test_the_unit_of_a_replica_serves_an_empty_bucket_from_nothing(tmp_path: Path) -> None:
    program = Program(tmp_path)
    unit = (RECIPES / "casync-replica.service").read_text()
    (commands,) = re.findall(r"sudo -u casync casync (.*)", unit)

    def here(text: str) -> str:
        return text.replace("/var/lib/casync", str(tmp_path))

    token = program.good(*here(commands).split()).text.strip()
    variables = re.findall(r"^Environment=([^\"].*)$", unit, re.M)
    program.environment |= dict(here(line).split("=", 1) for line in variables)
    program.environment["CASYNC_STORE"] = f"file://{tmp_path}/bucket"
    words = map(here, words_of("casync-replica.service"))
    server = Server(program.start(*words, stdout=subprocess.DEVNULL))
    try:
        until(lambda: is_ready(server), "the first sync")
        names = f"{server.url}/v1/names"
        assert httpx.get(names).status_code == 401
        answer = httpx.get(names, headers={"Authorization": f"Bearer {token}"})
        assert answer.json()["names"] == []
        assert (tmp_path / "cache/casync/buckets").is_dir()
    finally:
        server.close()
