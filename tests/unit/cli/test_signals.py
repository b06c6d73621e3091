"""A stop signal never leaves a lock locked that the unwinding needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.program import TIMEOUT

PROGRAM = """
import operator, signal, sys, threading, time
from functools import partial
from types import SimpleNamespace

from casync_cli.signals import Interrupted, stop_on_signals
from httpcore._synchronization import ThreadLock

kind, moment = sys.argv[1:]
real = threading.Lock()
send = partial(signal.raise_signal, signal.SIGTERM)


def steps(*some):  # one call in C, so the handler runs in the frame of its caller
    return partial(list, map(operator.call, some))


take = steps(real.acquire, send) if moment == "taken" else real.acquire
give = steps(send, real.release) if moment == "released" else real.release
inner = SimpleNamespace(
    acquire=take, release=give, __enter__=take, __exit__=real.__exit__
)
if kind == "httpcore":
    lock = ThreadLock()
    lock._lock = inner
else:
    lock = threading.Condition(inner)

stop_on_signals()
try:
    with lock:
        while moment == "taken":
            time.sleep(1)
    while True:
        time.sleep(1)
except Interrupted as interrupted:
    print(interrupted, real.locked())
"""


@pytest.mark.parametrize(
    ("kind", "moment"),
    [("httpcore", "taken"), ("httpcore", "released"), ("condition", "taken")],
)
def test_a_lock_is_free_after_a_signal_that_came_while_it_was(kind: str, moment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, moment],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("asked to stop False\n", "")
