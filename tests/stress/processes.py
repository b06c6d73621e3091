"""The processes of a stress run, any of which may be killed at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from tests.crash.commands import casync
from tests.support.children import children_of

__all__ = ["Ended", "Processes", "start"]

_PATIENCE_SECONDS: Final = 300.0
"""Seconds after which a command counts as hanging."""

_SPARED: Final = 0.6


class Ended(NamedTuple):
    """The result of a command.

    Attributes:
        status: Its exit status, negative when a signal ended it.
        out: Its stdout.
        err: Its stderr.
    """

    status: int
    out: bytes
    err: str

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


class Processes:
    """Runs commands for many threads, and tracks them."""

    def __init__(self) -> None:
        self.token = ""  # for the server, if it requires one
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._lock = threading.Lock()

    def run(self, *arguments: str | Path, safe: bool = False) -> Ended:
        """Runs `casync` to its end.

        Args:
            arguments: Its command line.
            safe: Do not kill this one.

        Raises:
            subprocess.TimeoutExpired: It hangs.
        """
        process = start(*arguments, stderr=subprocess.PIPE, token=self.token)
        with contextlib.nullcontext() if safe else self.exposed(str(arguments[0]), process):
            try:
                out, err = process.communicate(timeout=_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise
        return Ended(process.returncode, out, err.decode(errors="replace"))

    @contextlib.contextmanager
    def exposed(self, verb: str, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """A process that may be killed while the block runs."""
        entry = (verb, process)
        with self._lock:
            self._running.append(entry)
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(entry)

    def kill_one(self, rng: random.Random) -> str | None:
        """Kills a running process, or a child of one; returns its verb.

        Half of the time the verb is drawn first, since there are many writers and few collections.
        Servers are usually spared, so that requests succeed.
        """
        with self._lock:
            running = list(self._running)
        if not running:
            return None
        verbs = [verb for verb, _ in running]
        verb = rng.choice(sorted(set(verbs)) if rng.random() < 0.5 else verbs)
        if verb == "serve" and rng.random() < _SPARED:
            return None
        process = rng.choice([process for each, process in running if each == verb])
        if rng.random() < 0.5 and _kill_a_child(process.pid, rng):
            return f"{verb}, a child"
        process.kill()  # does nothing to a reaped process
        return verb


def start(
    *arguments: str | Path, stderr: int | IO[bytes], token: str = ""
) -> subprocess.Popen[bytes]:
    """Starts `casync` with a token, without variables that name stores or servers."""
    dropped = ("CASYNC_", "PYTHONDONTWRITEBYTECODE")  # compiling everything takes a second
    variables = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    if token:
        variables["CASYNC_TOKEN"] = token
    return subprocess.Popen(
        casync(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=variables,
    )


def _kill_a_child(parent: int, rng: random.Random) -> bool:
    children = children_of(parent)
    if not children:
        return False
    chosen = rng.choice(children)
    try:
        handle = os.pidfd_open(chosen)
    except ProcessLookupError:
        return False
    try:
        if chosen not in children_of(parent):  # the process id may be reused by now
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True
