"""The commands of docs/OPERATION.md as written, with other paths, ports and hosts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.servers import free_port
from casync.store.lmdb.store import LmdbStore
from tests.support.program import ROOT, Program
from tests.support.serving import put_file

FIRST_ID = "$(casync token ls | head -n 1 | cut -f 1)"


def block(heading: str, number: int = 0) -> str:
    """A block of commands below a heading."""
    text = (ROOT / "docs" / "OPERATION.md").read_text()
    below = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.M)[0]
    blocks: list[str] = re.findall(r"^```\n(.*?)^```$", below, re.M | re.S)
    return blocks[number]


class Admin:
    """A shell as the manual describes it: in the home of the store's user, with its store."""

    def __init__(self, folder: Path) -> None:
        self.program = Program(folder)
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        own = bin_folder / "casync"
        own.write_text(f'#!/bin/sh\nexec {sys.executable} -m casync_cli "$@"\n')
        own.chmod(0o755)

    def run(self, commands: str, changes: dict[str, str] | None = None) -> str:
        """Runs commands, each of which must succeed; returns what they print."""
        for old, new in (changes or {}).items():
            assert old in commands, old
            commands = commands.replace(old, new)
        home = self.program.home
        path = f"{home}/bin:{self.program.environment['PATH']}"
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=home,
            env={**self.program.environment, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout + ran.stderr


@pytest.fixture
def admin(tmp_path: Path) -> Admin:
    """The admin of a store that a server has made, with one name in it."""
    admin = Admin(tmp_path)
    with LmdbStore.open(admin.program.store, create=True) as store:
        put_file(store, bytes(100_000), name="vm/1")
    return admin


def test_the_tokens_of_the_manual(admin: Admin) -> None:
    admin.run(block("Access"), {"k3v9x0ab": FIRST_ID})
    states = [line.split("\t")[2] for line in admin.program.good("token", "ls").lines]
    assert states == ["revoked", "good"]


def test_all_namespaces_are_verified_even_if_there_are_none(admin: Admin) -> None:
    make, loop = block("Several tenants").split("\n", 1)
    verified = {"verify": "--json verify"}
    assert admin.run(loop, verified).count('"casync.verify/1"') == 1
    admin.run(make)
    assert admin.run(loop, verified).count('"casync.verify/1"') == 2


def test_a_cache_of_the_manual_starts_from_nothing(admin: Admin) -> None:
    changes = {
        "/var/cache/casync": "cache",
        "https://chunks.example.com": "http://127.0.0.1:9",
        "10.1.0.1:8080": "127.0.0.1:0",
    }
    start = block("A cache near its users").strip()
    ready = "until [ -e cache/data.mdb ]; do kill -0 $!; sleep 0.1; done"
    admin.run(f"{start} &\n{ready}\nkill $!\nwait $!", changes)


def test_a_backup_of_the_manual_is_a_store_that_can_be_served(admin: Admin) -> None:
    port = free_port()
    changes = {"/mnt/backup": "backup", "127.0.0.1:9000": f"127.0.0.1:{port}"}
    listed = f"casync ls --server http://127.0.0.1:{port}"
    ready = f"until (: > /dev/tcp/127.0.0.1/{port}) 2> /dev/null; do kill -0 $!; sleep 0.1; done"
    test = block("Looking after a store").strip()
    said = admin.run(f"{test} &\n{ready}\n{listed}\nkill $!\nwait $!", changes)
    assert "vm/1" in said
