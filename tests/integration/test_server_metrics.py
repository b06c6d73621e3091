"""/metrics with several workers, one of them dead."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import httpx
import pytest

from casync.ids import Kind
from casync.names.name import Ref
from casync.ops.upkeep.gc import CollectOptions, collect
from casync.store.lmdb.store import LmdbStore
from tests.support.serving import READY_SECONDS, Server, put_file, serving

DATA = bytes(range(256)) * 400


def value(text: str, name: str, **labels: str) -> float:
    """The sum of the samples of one metric that have these labels."""
    total = 0.0
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if match and match[1] == name:
            found = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            if found.items() >= labels.items():
                total += float(match[3])
    return total


def settled(server: Server) -> str:
    """The metrics after all other requests are counted, which is after an answer's last byte."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        text = httpx.get(f"{server.url}/metrics", timeout=READY_SECONDS).text
        if value(text, "casync_requests_running") == 1:  # the one for the metrics
            return text
        time.sleep(0.01)  # otherwise the next request sees this one as running
    raise AssertionError(text)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        put_file(store, DATA, name="secret/name")
    return tmp_path / "store"


def test_all_workers_are_summed(store: Path) -> None:
    with serving(store, workers=2) as server:
        server.wait_for("serving ")
        while len(server.workers()) < 2:
            pass
        for _ in range(40):  # a connection each, so both workers get some
            assert httpx.get(f"{server.url}/v1/files/secret%2Fname").content == DATA
        assert httpx.get(f"{server.url}/v1/manifests/{'0' * 64}").status_code == 404
        text = settled(server)
        assert value(text, "casync_requests_total", route="/v1/files/{ref}", status="200") == 40
        assert value(text, "casync_requests_total", status="404") == 1
        assert value(text, "casync_sent_bytes_total", route="/v1/files/{ref}") == 40 * len(DATA)
        assert value(text, "casync_request_seconds_count", route="/v1/files/{ref}") == 40
        assert "secret" not in text
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        server.wait_for("starting another")
        after = settled(server)
        assert value(after, "casync_requests_total", route="/v1/files/{ref}", status="200") == 40


def test_the_store_is_measured(store: Path) -> None:
    with LmdbStore.open(store) as opened:
        push = opened.pushes.begin()
        done = collect(opened)
        assert opened.pushes.promise(push, Kind.CHUNK, []) == []
        usage = opened.usage()
    assert usage.objects[Kind.CHUNK].number > 0
    with serving(store) as server:
        answer = httpx.get(f"{server.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for name, expected in (
        ("manifests", 1),
        ("names", 1),
        ("logical_bytes", len(DATA)),
        ("live_bytes", usage.live),
        ("segment_bytes", usage.used),
        ("file_bytes", usage.file),
        ("pushes", 1),
    ):
        assert value(answer.text, f"casync_store_{name}") == expected
    assert value(answer.text, "casync_store_dedup_ratio") == len(DATA) / usage.live
    assert value(answer.text, "casync_gc_runs_total") == 1
    assert value(answer.text, "casync_gc_objects_total") == done.objects
    assert value(answer.text, "casync_gc_last_success_timestamp_seconds") > 1_700_000_000


def test_collections_are_counted_whoever_collects(store: Path) -> None:
    with LmdbStore.open(store) as opened:
        ident = put_file(opened, b"goes" * 5000)
        opened.remove([Ref(manifest=ident)])
        first = collect(opened, CollectOptions(window=0))
        assert collect(opened, CollectOptions(window=0)).objects == 0
        collect(opened, CollectOptions(dry_run=True))
        done = opened.usage().collections
    assert first.objects > 0
    assert (done.runs, done.objects, done.stored) == (2, first.objects, first.stored)


def test_writes_that_wait_are_counted(tmp_path: Path) -> None:
    with (
        LmdbStore.open(tmp_path / "store", create=True),
        serving(tmp_path / "store", writable=True) as server,
    ):
        assert httpx.post(f"{server.url}/v1/pushes", timeout=READY_SECONDS).status_code == 200
        text = httpx.get(f"{server.url}/metrics").text
    assert "casync_writes_queued 0.0" in text
    assert value(text, "casync_store_pushes") == 1
