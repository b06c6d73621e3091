"""A server that caches another one."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from casync_server.options import Upstream

from casync.ids import Kind
from casync.ops.upkeep.verify import verify
from casync.store.base import Batch
from casync.store.lmdb.store import LmdbStore
from tests.support.damaging import DATA as SPOILT_DATA
from tests.support.damaging import SPOILT
from tests.support.damaging import put as put_spoilt
from tests.support.program import Program
from tests.support.serving import Server, put_file, serving

DATA = b"".join(number.to_bytes(4, "big") * 1024 for number in range(2000))


def fetched(server: Server) -> int:
    """Objects that a server handed out in streams."""
    server.settle()
    lines = [line for line in server.lines if "/v1/objects/fetch" in line]
    return sum(
        int(match[1]) for match in (re.search(r"objects=(\d+)", line) for line in lines) if match
    )


@pytest.mark.parametrize("workers", [1, 3])
def test_concurrent_requests_fetch_each_object_once(tmp_path: Path, workers: int) -> None:
    with LmdbStore.open(tmp_path / "origin", create=True) as store:
        put_file(store, DATA, name="x")
        objects = sum(use.number for use in store.usage().objects.values())
    program = Program(tmp_path)
    with (
        serving(tmp_path / "origin") as origin,
        serving(tmp_path / "cache", upstream=Upstream(origin.url), workers=workers) as cache,
    ):

        def pull(number: int) -> bytes:
            store = str(tmp_path / f"store{number}")
            program.good("--store", store, "pull", "x", "-o", f"out{number}", "--server", cache.url)
            return (tmp_path / f"out{number}").read_bytes()

        with ThreadPoolExecutor(6) as pool:
            assert all(data == DATA for data in pool.map(pull, range(6)))
        assert 0 < fetched(origin) <= objects
        before = fetched(origin)
        assert pull(7) == DATA
        assert fetched(origin) == before
    with LmdbStore.open(tmp_path / "cache", read_only=True) as store:
        assert not verify(store).faults
        assert store.usage().objects[Kind.CHUNK].number > 0


def test_fetched_objects_are_served_while_upstream_is_down(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "origin", create=True) as store:
        ident = put_file(store, DATA, name="x")
    program = Program(tmp_path)
    with (
        serving(tmp_path / "origin") as origin,
        serving(tmp_path / "cache", upstream=Upstream(origin.url)) as cache,
    ):
        assert program.good("ls", "--server", cache.url).lines[0].endswith("\tx")
        program.good("pull", "x", "-o", "out1", "--server", cache.url)
        origin.stop()
        program.good("--store", "2", "pull", ident.hex(), "-o", "out2", "--server", cache.url)
        assert (tmp_path / "out2").read_bytes() == DATA
        away = program.run("pull", "x", "-o", "out3", "--server", cache.url, "--retry-for", "1s")
        assert away.status == 5


def test_damaged_objects_of_upstream_are_neither_kept_nor_served(tmp_path: Path) -> None:
    with LmdbStore.open(tmp_path / "origin", create=True) as store:
        spoilt = SPOILT["other bytes"]
        store.commit(Batch([spoilt]))
        put_spoilt(store, SPOILT_DATA, "x")
    program = Program(tmp_path)
    with (
        serving(tmp_path / "origin") as origin,
        serving(tmp_path / "cache", upstream=Upstream(origin.url)) as cache,
    ):
        ran = program.run("pull", "x", "-o", "out", "--server", cache.url, "--retry-for", "1s")
        assert ran.status == 4, ran
        assert not (tmp_path / "out").exists()
    with LmdbStore.open(tmp_path / "cache", read_only=True) as store:
        assert store.stat(Kind.CHUNK, [spoilt.id]) == [None]
        assert not verify(store).faults


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0"])
def test_an_upstream_that_is_the_server_itself_is_refused(
    tmp_path: Path, host: str, listen: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    arguments = ("--listen", f"{listen}:{port}", "--insecure-no-auth")
    refused = Program(tmp_path).run("serve", *arguments, "--upstream", f"http://{host}:{port}")
    assert refused.status == 2
    assert f"--upstream http://{host}:{port} is this server itself" in refused.err


def test_caches_in_a_circle_are_an_error_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    program = Program(tmp_path)
    own = Upstream(f"http://127.0.0.1:{port}")
    with serving(tmp_path / "one", upstream=own) as one:
        other = {"listen": (f"127.0.0.1:{port}",), "upstream": Upstream(one.url)}
        with serving(tmp_path / "two", settings=None, **other) as two:
            for server in (one, two):
                for ref in ("name", "0" * 64):
                    where = ("-o", "out", "--server", server.url, "--retry-for", "100s")
                    failed = program.run("pull", ref, *where)
                    assert failed.status == 5
                    assert "in a circle" in failed.err
