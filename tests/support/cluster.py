"""Several servers over one bucket, each a process of a host with tables of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.support.moto_server import KEY, REGION, SECRET
from tests.support.program import Program
from tests.support.serving import Server, server_of

__all__ = ["Cluster", "is_ready", "kill_host", "moto", "shows"]


class Cluster:
    """A bucket, and replicas over it.

    Args:
        program: The program.
        address: The bucket's address.
        environment: What reaches it.
    """

    def __init__(self, program: Program, address: str, environment: dict[str, str]) -> None:
        self.program = program
        self.address = address
        program.environment |= environment

    @contextmanager
    def replica(self, host: str, *options: str) -> Iterator[Server]:
        """A server on a host of its own, killed at the end if it still runs."""
        program = self.program
        process = program.start(
            *("serve", "--store", self.address, "--listen", "127.0.0.1:0", "--grace", "5s"),
            *options,
            stdout=subprocess.DEVNULL,
            env={**program.environment, "XDG_CACHE_HOME": str(program.home / host)},
            start_new_session=True,
        )
        with server_of(process) as server:
            yield server

    def prepare(self, name: str, data: bytes) -> str:
        """Prepares a name on one more host; returns its hash."""
        place = ("--store", self.address)
        return self.program.good("prepare", "--name", name, *place, stdin=data).text.strip()


def moto(program: Program, url: str) -> Cluster:
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
    }
    return Cluster(program, "s3://bucket/casync", environment)


def is_ready(server: Server) -> bool:
    return httpx.get(f"{server.url}/readyz").status_code == 200


def shows(server: Server, name: str, token: str = "") -> bool:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(f"{server.url}/v1/names/{name}", headers=headers).status_code == 200


def kill_host(server: Server) -> None:
    """Kills all processes of a server at once, as the end of its host does."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(folder.name)) == server.process.pid:
                os.kill(int(folder.name), signal.SIGKILL)
