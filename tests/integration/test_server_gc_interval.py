"""A server that collects its store while it serves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from casync_server.options import ServeOptions
from casync_server.process.worker_order import CollectorOrder, encode_line

from casync.ids import Kind
from casync.names.name import Ref, parse_name
from casync.store.lmdb.store import LmdbStore
from tests.support.serving import put_file, serving

DATA = bytes(range(256)) * 400


def test_removed_content_is_collected_and_served_content_stays(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        put_file(store, DATA, name="stays")
        put_file(store, DATA[::-1], name="goes")
        before = store.usage().objects[Kind.CHUNK].number
        store._clock = lambda: 1e9  # long ago
        store.remove([Ref(name=parse_name("goes"))])
    with serving(tmp_path / "store", gc_interval=1.0) as server:
        # The trash keeps it for two collections.
        assert server.wait_for("collected ").startswith("collected 0 objects")
        line = server.wait_for("collected ", times=2)
        assert not line.startswith("collected 0 ")
        assert line.endswith("1 manifest kept")
        assert httpx.get(f"{server.url}/v1/files/stays").content == DATA
        assert httpx.get(f"{server.url}/v1/files/goes").status_code == 404
        assert server.stop() == 0
    with LmdbStore.open(tmp_path / "store", read_only=True) as store:
        assert store.usage().objects[Kind.CHUNK].number < before


def test_a_failed_collection_is_reported_and_the_server_goes_on(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        ident = put_file(store, DATA)
        with store.collection(window=0), serving(tmp_path / "store", gc_interval=1.0) as server:
            server.wait_for("cannot collect: ")
            assert httpx.get(f"{server.url}/v1/files/{ident.hex()}").content == DATA
            server.process.send_signal(signal.SIGTERM)
            assert server.wait() == 0
    assert not _children_of(server.process.pid)


@pytest.mark.parametrize("quiet", [True, False])
def test_a_quiet_collector_reports_failures_only(tmp_path: Path, quiet: bool) -> None:
    with LmdbStore.open(tmp_path / "store", create=True):
        pass

    def collect(name: str) -> str:
        order = encode_line(CollectorOrder(ServeOptions(tmp_path / name, quiet=quiet), {}))
        command = [sys.executable, "-m", "casync_server.process.collector"]
        done = subprocess.run(command, input=order, stderr=subprocess.PIPE, check=False)
        return done.stderr.decode()

    assert bool(collect("store")) is not quiet
    assert collect("missing").startswith("cannot collect: no store at ")


def _children_of(pid: int) -> list[str]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return path.read_text().split() if os.path.exists(path) else []
