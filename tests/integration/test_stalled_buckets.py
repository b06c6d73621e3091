"""What reads from a bucket which stalls can be stopped at once, wherever it stalls."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from casync.downloads import DownloadOptions, download
from casync.jobs.job import JobState
from casync.remote.sources.options import SourceOptions
from casync.store.lmdb.store import LmdbStore
from tests.support.program import Program
from tests.support.scripted_server import Asked, ScriptedServer, reply
from tests.support.serving import until

HOUR = 3600.0
SIZE = 5_000_000
LISTING = f"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix></Prefix>
<KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>
<Contents><Key>x</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"1"</ETag>
<Size>{SIZE}</Size></Contents></ListBucketResult>""".encode()


@pytest.mark.parametrize("place", ["listing", "answer", "first block", "rest of the body"])
def test_a_job_is_stopped_while_its_bucket_stalls(tmp_path: Path, place: str) -> None:
    """D9: within seconds, although the bucket may be silent for an hour."""
    stalled, ended = threading.Event(), threading.Event()

    def stall() -> None:
        stalled.set()
        ended.wait(HOUR)

    def script(asked: Asked) -> bytes | Iterator[bytes]:
        if "list-type" in asked.target:
            if place == "listing":
                stall()
            return reply(200, LISTING, Content_Type="application/xml")
        if place == "answer":
            stall()
        head = reply(
            200,
            Content_Length=str(SIZE),
            ETag='"1"',
            Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT",
        )

        def body() -> Iterator[bytes]:
            yield head + bytes(1000 if place == "first block" else 3_000_000)
            stall()

        return body()

    with ScriptedServer(script) as server, LmdbStore.open(tmp_path / "store", create=True) as store:
        access = SourceOptions(
            s3_endpoint=server.url,
            s3={"access_key_id": "k", "secret_access_key": "s", "region": "us-east-1"},
        )
        try:
            job = download("s3://b/", "ds/", store, DownloadOptions(timeout=HOUR), access=access)
            assert stalled.wait(60)
            if place == "rest of the body":
                until(lambda: job.row.active and job.row.active[0].done >= 1_000_000, "the body")
            job.stop()
            assert job.wait(30).state is JobState.ABORTED
        finally:
            ended.set()


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_signal_ends_a_command_whose_store_lies_in_a_bucket_that_stalls(
    program: Program, is_begun: bool
) -> None:
    """Before the bucket answers, and amid its answer."""
    stalled, ended = threading.Event(), threading.Event()

    def script(_: Asked) -> Iterator[bytes]:
        if is_begun:
            date = "Thu, 01 Jan 2026 00:00:00 GMT"
            yield reply(200, bytes(9), Content_Length="99", ETag='"1"', Last_Modified=date)
        stalled.set()
        ended.wait(HOUR)

    with ScriptedServer(script) as server:
        settings = program.environment | {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_REGION": "us-east-1",
        }
        process = program.start("--store", "s3://bucket/store", "ls", env=settings)
        try:
            assert stalled.wait(60)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        finally:
            ended.set()
            process.kill()
    assert (process.returncode, err) == (130, b"casync: interrupted\n")
