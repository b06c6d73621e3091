"""Servers on loopback during a measurement, and a relay that counts bytes."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.memory import tree_cpu
from benchmarks.peers.contender import Contender, Place
from benchmarks.peers.ours import Ours
from benchmarks.peers.tool import Tool, find

NGINX = Tool("nginx", r"^nginx version: nginx/(\S+)", "apt install nginx-light", ("-v",))
RSYNC = Tool("rsync", r"^rsync +version (\S+)", "apt install rsync")
LINK = Path(__file__).with_name("link.py")

NGINX_CONF = """
daemon off;
{user}
worker_processes auto;
pid {scratch}/nginx.pid;
error_log {scratch}/nginx.err;
events {{ worker_connections 1024; }}
http {{
  access_log {scratch}/access.log combined;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  types {{ }}
  default_type application/octet-stream;
  client_body_temp_path {scratch}/t1;
  proxy_temp_path {scratch}/t2;
  fastcgi_temp_path {scratch}/t3;
  uwsgi_temp_path {scratch}/t4;
  scgi_temp_path {scratch}/t5;
  server {{ listen 127.0.0.1:{port} backlog=512; root {root}; autoindex on; }}
}}
"""

RSYNC_CONF = """
use chroot = no
reverse lookup = no
[files]
path = {root}/files
read only = yes
"""


@dataclass
class Server:
    """A running server.

    Attributes:
        url: Its address, without a slash at the end.
        process: Its process id.
        log: A log file with a line per request.
    """

    url: str
    process: int
    log: Path

    def cpu(self) -> float:
        """CPU seconds used so far, workers included."""
        return tree_cpu(self.process)

    def requests(self) -> int:
        """Requests in its log."""
        return len(re.findall(r"\b(?:GET|POST|HEAD) /", self.log.read_text(errors="replace")))


def fetched_bytes(log: str) -> int:
    """Bytes of objects sent according to our server's log, without headers."""
    return sum(map(int, re.findall(r"POST /v1/objects/fetch \d+ .*\bbytes=(\d+)", log)))


@dataclass
class Counts:
    """Bytes through a relay; filled when it has ended.

    Attributes:
        sent: Bytes from the client.
        received: Bytes to the client.
    """

    sent: int = 0
    received: int = 0


@dataclass(frozen=True)
class Origin:
    """The servers of what the contenders published.

    Attributes:
        root: Folder that nginx and rsync serve.
        scratch: Folder for configurations and logs.
    """

    root: Path
    scratch: Path
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1 << 30)))

    @contextmanager
    def serving(self, contender: Contender, place: Place) -> Iterator[Server]:
        """Starts the server that a contender pulls from."""
        if not isinstance(contender, Ours) and contender.server != "rsync":
            with self.web() as server:
                yield server
            return
        if isinstance(contender, Ours):
            with self.serving_store(contender, contender.stored(place)) as server:
                yield server
            return
        scratch = self._folder()
        port = free_port()
        log = scratch / "serve.log"
        config = scratch / "rsyncd.conf"
        config.write_text(RSYNC_CONF.format(root=self.root))
        argv: list[str | Path] = [find(RSYNC).path, "--daemon", "--no-detach"]
        argv += ["--address=127.0.0.1", f"--port={port}", f"--config={config}"]
        with running(argv, port, log) as process:
            yield Server(f"rsync://127.0.0.1:{port}", process, log)

    @contextmanager
    def serving_store(
        self, ours: Ours, store: Path | str, variables: Mapping[str, str] | None = None
    ) -> Iterator[Server]:
        """Starts `casync serve` of a store in a folder or in a bucket."""
        port = free_port()
        log = self._folder() / "serve.log"
        # The address of a relay must be allowed as a Host.
        words = ("serve", "--listen", f"127.0.0.1:{port}", "--insecure-no-auth")
        with running([ours.binary, "--store", store, *words], port, log, variables) as process:
            yield Server(f"http://127.0.0.1:{port}", process, log)

    @contextmanager
    def web(self) -> Iterator[Server]:
        """Starts nginx, which also lists folders."""
        scratch = self._folder()
        port = free_port()
        config = scratch / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        text = NGINX_CONF.format(root=self.root, scratch=scratch, port=port, user=user)
        config.write_text(text)
        argv: list[str | Path] = [
            find(NGINX).path,
            "-e",
            scratch / "nginx.err",
            "-p",
            scratch,
            "-c",
            config,
        ]
        with running(argv, port, scratch / "serve.log") as process:
            yield Server(f"http://127.0.0.1:{port}", process, scratch / "access.log")

    def _folder(self) -> Path:
        folder = self.scratch / f"server-{next(self._numbers)}"
        folder.mkdir(parents=True)
        return folder


@contextmanager
def running(
    argv: list[str | Path], port: int, log: Path, variables: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Runs a server during the block, which begins when it listens."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        for _ in range(600):
            if listens(port):
                break
            if process.poll() is not None:
                raise RuntimeError(f"{argv[0]} ended: {log.read_text()[-600:]}")
            time.sleep(0.05)
        else:
            raise RuntimeError(f"{argv[0]} does not listen")
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def relayed(url: str, mbit: float = 0.0, rtt_ms: float = 0.0) -> Iterator[tuple[str, Counts]]:
    """Runs a relay in front of a server: it counts bytes, and can be slow."""
    scheme, _, address = url.partition("://")
    counts = Counts()
    process = subprocess.Popen(
        [sys.executable, LINK, address, f"--mbit={mbit}", f"--rtt-ms={rtt_ms}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        port = json.loads(process.stdout.readline())["port"]
        yield f"{scheme}://127.0.0.1:{port}", counts
    finally:
        process.terminate()
        told = json.loads(process.stdout.readline())
        counts.sent, counts.received = told["sent"], told["received"]
        process.stdout.close()
        process.wait()


def free_port() -> int:
    """A free port outside the range of ephemeral ports."""
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.choice(range(10_000, max(given, 20_000)))
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def listens(port: int) -> bool:
    """Whether a server accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
