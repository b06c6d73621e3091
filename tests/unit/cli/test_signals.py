"""A stop signal never leaves a lock locked that the unwinding needs."""

from __future__ import annotations

import subprocess
import sys

from tests.support.program import TIMEOUT

PROGRAM = """
import operator, signal, sys, threading, time
from functools import partial
from types import SimpleNamespace

from casync_cli.signals import Interrupted, stop_on_signals

real = threading.Lock()
send = partial(signal.raise_signal, signal.SIGTERM)


def steps(*some):  # one call in C, so the handler runs in the frame of its caller
    return partial(list, map(operator.call, some))


take = steps(real.acquire, send)
inner = SimpleNamespace(
    acquire=take, release=real.release, __enter__=take, __exit__=real.__exit__
)
lock = threading.Condition(inner)

stop_on_signals()
try:
    with lock:
        while True:
            time.sleep(1)
except Interrupted as interrupted:
    print(interrupted, real.locked())
"""


def test_a_lock_is_free_after_a_signal_that_came_while_it_was_taken() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("asked to stop False\n", "")
