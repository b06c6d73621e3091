"""Calls of obstore in daemon threads: results, stops, and processes that end well after them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from casync.errors import StoppedError
from casync.remote.sources.obstore_calls import ObstoreCalls
from tests.support.scripted_server import Asked, ScriptedServer, reply

_ENDS_AFTER_CALLS = """
import obstore
from obstore.store import MemoryStore
from casync.remote.sources.obstore_calls import ObstoreCalls

store, calls = MemoryStore(), ObstoreCalls()
calls.wait(lambda: obstore.put(store, "key", b"x" * (1 << 20)))
for _ in range(20):
    calls.wait(lambda: obstore.get(store, "key"))
"""

_ENDS_AMID_CALLS = """
import sys, threading
import obstore
from obstore.store import S3Store
from casync.errors import StoppedError
from casync.remote.sources.obstore_calls import ObstoreCalls

keys = {"access_key_id": "k", "secret_access_key": "s", "region": "us-east-1"}
options = {"allow_http": True}
store = S3Store("b", config={"endpoint": sys.argv[1], **keys}, client_options=options)
calls, started = ObstoreCalls(), threading.Semaphore(0)

def read():
    blocks = calls.wait(lambda: iter(obstore.get(store, "key").stream(min_chunk_size=1)))
    started.release()
    try:
        while True:
            calls.wait(lambda: next(blocks))
    except StoppedError:
        started.release()

for _ in range(4):
    threading.Thread(target=read).start()
for _ in range(4):
    started.acquire()
calls.close()
for _ in range(4):
    started.acquire()
"""


def statuses(program: str, *words: str) -> set[int]:
    """The statuses of twenty processes, four at a time."""
    command = [sys.executable, "-c", program, *words]
    with ThreadPoolExecutor(4) as threads:
        runs = threads.map(lambda _: subprocess.run(command, check=False), range(20))
        return {run.returncode for run in runs}


def test_calls_give_their_results_or_raise_their_errors() -> None:
    calls = ObstoreCalls()
    assert calls.wait(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        calls.wait(lambda: 1 // 0)
    threads = {calls.wait(threading.get_ident) for _ in range(9)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_closing_frees_threads_from_calls_that_go_on() -> None:
    """D9."""
    calls, begun, end = ObstoreCalls(), threading.Semaphore(0), threading.Event()

    def call() -> None:
        begun.release()
        end.wait()

    try:
        with ThreadPoolExecutor(3) as threads:
            waiting = [threads.submit(calls.wait, call) for _ in range(3)]
            for _ in waiting:
                begun.acquire()
            calls.close()
            for each in waiting:
                assert isinstance(each.exception(), StoppedError)
    finally:
        end.set()
    with pytest.raises(StoppedError):
        calls.wait(lambda: 1)


def test_processes_that_have_just_called_the_library_end_well() -> None:
    assert statuses(_ENDS_AFTER_CALLS) == {0}


def test_processes_that_end_amid_slow_answers_end_well() -> None:
    """D9: calls come back while Python is taken down."""
    ended = threading.Event()

    def script(_: Asked) -> Iterator[bytes]:
        yield reply(
            200,
            Content_Length="1000000000",
            ETag='"1"',
            Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT",
        )
        while not ended.wait(0.001):
            yield bytes(100)

    with ScriptedServer(script) as server:
        try:
            assert statuses(_ENDS_AMID_CALLS, server.url) == {0}
        finally:
            ended.set()
