"""Runs any command and measures it: seconds, CPU seconds, peak memory."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from benchmarks.memory import Sampler

LIMIT_SECONDS = 900.0
"""Default limit of a command, in seconds."""


class CommandError(Exception):
    """A measured command failed; the message has its last output."""


class LimitError(CommandError):
    """A command took longer than its limit, and was ended."""


@dataclass(frozen=True)
class Command:
    """A command line with its surroundings.

    Attributes:
        argv: Arguments; the first one is an absolute path.
        cwd: The folder to run it in.
        env: Variables to set in addition to the environment.
        stdin: A file to read from; none is /dev/null.
        stdout: A file to write to; none keeps the output in memory.
        limit: Seconds after which it is ended, which is a `LimitError`.
        wanted: Exit statuses that mean success.
    """

    argv: tuple[str | Path, ...]
    cwd: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: Path | None = None
    stdout: Path | None = None
    limit: float = LIMIT_SECONDS
    wanted: tuple[int, ...] = (0,)

    def on_one_cpu(self) -> Command:
        """The command on one CPU, with all its children."""
        return replace(self, argv=("/usr/bin/taskset", "-c", "0", *self.argv))

    def shown(self, places: Mapping[Path, str]) -> str:
        """The command line for people, with the folders of the run replaced by names."""
        line = shlex.join(str(word) for word in self.argv)
        if self.stdin:
            line += f" < {self.stdin}"
        if self.stdout:
            line += f" > {self.stdout}"
        for folder, name in sorted(places.items(), key=lambda item: -len(str(item[0]))):
            line = line.replace(str(folder), name)
        return line


@dataclass(frozen=True)
class Run:
    """The measurements of one command.

    Attributes:
        seconds: From before its start until after its end.
        cpu: Seconds of CPU time, user and system, with all children that it waited for.
        out: Its stdout, unless that went to a file.
        memory: Peak of anonymous and shared memory over all its processes, in bytes, if sampled.
        processes: Peak number of its processes, if sampled.
    """

    seconds: float
    cpu: float
    out: str
    memory: int | None = None
    processes: int | None = None


def run(
    command: Command,
    *,
    sample: bool = False,
    kill_after: float | None = None,
) -> Run:
    """Runs a command to its end.

    Args:
        command: What to run.
        sample: Sample its memory; costs it some time.
        kill_after: Kill it after this many seconds, which does not count as a failure.

    Raises:
        CommandError: It ended with an error.
        LimitError: Its limit ended it.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin = command.stdin.open("rb") if command.stdin else None
        stdout = command.stdout.open("wb") if command.stdout else None
        begin = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command.argv],
            cwd=command.cwd,
            env={**os.environ, **command.env},
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or out,
            stderr=err,
            start_new_session=True,
        )
        limit = command.limit if kill_after is None else kill_after
        watch = _Watch(process.pid, limit)
        sampler = Sampler(process.pid) if sample else None
        watch.start()
        if sampler:
            sampler.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if sampler:
            sampler.stop()
        was_ended = watch.stop()
        for file in (stdin, stdout):
            if file:
                file.close()
        text = _read(out)
        if was_ended and kill_after is None:
            raise LimitError(f"{command.shown({})}: ended after {limit:.0f} s")
        if not was_ended and process.returncode not in command.wanted:
            last = (_read(err) or text).strip()[-600:]
            raise CommandError(f"{command.shown({})}: status {process.returncode}: {last}")
    cpu = usage.ru_utime + usage.ru_stime
    if sampler is None:
        return Run(seconds, cpu, text)
    return Run(seconds, cpu, text, sampler.memory, sampler.processes)


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


class _Watch(threading.Thread):
    """Kills a session when its time is up."""

    def __init__(self, session: int, limit: float) -> None:
        super().__init__(daemon=True)
        self._session = session
        self._limit = limit
        self._stopped = threading.Event()
        self._killed = False

    def run(self) -> None:
        """Waits; kills at most once."""
        if not self._stopped.wait(self._limit):
            self._killed = True
            os.killpg(self._session, signal.SIGKILL)

    def stop(self) -> bool:
        """Stops watching; returns whether the session was killed."""
        self._stopped.set()
        self.join()
        return self._killed
