"""Runs the program in forks of an interpreter that has imported it already.

A run is a process with pipes, a folder and an environment of its own, and ends as any other; only
its imports are done. What happens up to there is tested where the program is started anew, by
`Program.start` and `Program.on_terminal`: in test_cli_startup.py, test_stops_while_starting.py and
others.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["fits", "run_warm"]

_READ_AT_THE_START = ("LANG", "LC_", "LD_", "PYTHON", "TZ")
"""Variables that an interpreter or its libraries read before a fork could change them."""


class _Interpreter:
    """The process that forks. It ends when this one does, which closes the socket."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.warm_interpreter", str(theirs.fileno())],
                stdin=subprocess.PIPE,  # of the kind that those of its forks are
                stdout=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        self._turn = threading.Lock()

    def order(self, order: Mapping[str, object], descriptors: Sequence[int]) -> None:
        """Starts a run."""
        with self._turn:
            socket.send_fds(self._orders, [json.dumps(order).encode()], descriptors)


def _kept(environment: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environment.items() if k.startswith(_READ_AT_THE_START)}


@functools.cache
def _interpreter(paths: str) -> _Interpreter:
    return _Interpreter({**os.environ, "PYTHONPATH": paths})


def fits(environment: Mapping[str, str], paths: str) -> bool:
    """Whether a run with these variables may go on from an interpreter that was started here."""
    return _kept(environment) == _kept({**os.environ, "PYTHONPATH": paths})


def run_warm(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    stdin: bytes,
    timeout: float,
) -> tuple[int, bytes, bytes]:
    """Runs the program to its end; returns its status, stdout and stderr.

    Raises:
        subprocess.TimeoutExpired: It did not end in time, and was killed.
    """
    order = {"arguments": arguments, "environment": environment, "folder": str(folder)}
    into, out, err, report = (os.pipe() for _ in range(4))
    theirs = [into[0], out[1], err[1], report[1]]
    try:
        _interpreter(environment["PYTHONPATH"]).order(order, theirs)
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    with ThreadPoolExecutor(3) as threads, os.fdopen(report[0], "rb", 0) as told:
        threads.submit(_write, into[1], stdin)
        streams = [threads.submit(_read, stream[0]) for stream in (out, err)]
        pid = int(told.readline())
        try:
            if not select.select([told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(list(arguments), timeout)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        return int(told.readline()), streams[0].result(), streams[1].result()


def _write(descriptor: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()
