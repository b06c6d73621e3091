"""Servers and tokens where there is no store yet, and servers that log errors only."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from casync_server.options import Upstream

from benchmarks.servers import free_port
from casync.store.lmdb.store import LmdbStore
from tests.support.children import children_of
from tests.support.program import Program
from tests.support.serving import READY_SECONDS, command, serving


@pytest.mark.parametrize("arguments", [("serve",), ("token", "new")])
def test_a_mistyped_store_is_not_made(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    program = Program(tmp_path)
    ran = program.run(*arguments, "--store", "stroe")
    assert (ran.status, ran.out) == (9, b"")
    assert re.match(r"casync: no store at (/.*/)?stroe\. ", ran.err)
    assert "`serve` and `token new` with --create" in ran.err
    assert not (tmp_path / "stroe").exists()


@pytest.mark.parametrize(
    "options",
    [{"create": True}, {"writable": True}, {"upstream": Upstream("http://127.0.0.1:9")}],
)
def test_a_server_says_that_it_made_its_store(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "a" / "store"
    said = f"warning: the store {path} is new and empty"
    with serving(path, **options) as server:
        assert said in server.lines
        assert server.stop() == 0
    with serving(path, **options) as server:  # now it is there, and stays as it is
        assert said not in server.lines


def test_the_first_token_may_be_made_before_the_store(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.good("token", "new", "token", "--create")
    program.good("token", "new", "other", "--create")
    with serving(program.store, listen=("0.0.0.0:0",)) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert httpx.get(f"{url}/v1/names").status_code == 401
        assert program.good("ls", "--server", url, "--token-file", "token").text == ""


def test_a_store_that_is_there_is_only_read_with_create(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with LmdbStore.open(path, create=True):
        pass
    before = (path / "data.mdb").stat().st_mtime_ns
    with serving(path, create=True) as server:
        assert httpx.get(f"{server.url}/v1/names").is_success
    assert (path / "data.mdb").stat().st_mtime_ns == before


def test_a_quiet_server_logs_errors_only(tmp_path: Path) -> None:
    port = free_port()
    options = {
        "store": str(tmp_path / "store"),
        "listen": (f"127.0.0.1:{port}",),
        "create": True,
        "quiet": True,
    }
    process = subprocess.Popen(command(options), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        wait_for(port)
        assert httpx.get(f"http://127.0.0.1:{port}/nothing").status_code == 404
        assert httpx.get(f"http://127.0.0.1:{port}/", headers={"Host": "evil"}).status_code == 403
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"garbage\r\n\r\n")
            assert b" 400 " in sock.recv(100)
        process.send_signal(signal.SIGHUP)
        (worker,) = children_of(process.pid)
        os.kill(worker, signal.SIGKILL)
        line = process.stderr.readline()
        assert line.startswith(f"worker {worker} was killed by SIGKILL; starting another"), line
        wait_for(port)
        process.terminate()
        assert (process.wait(READY_SECONDS), process.stderr.read()) == (0, "")
    finally:
        process.kill()
        process.communicate()


def wait_for(port: int) -> None:
    """Waits until a server is ready."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=1).is_success:
                return
        time.sleep(0.05)
    raise AssertionError("not ready")
