"""Runs the program `casync` as users do: as processes, through its command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["Server", "casync", "environment", "execute", "run"]

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_END_SECONDS: Final = 300.0
_URL = re.compile(r" on (http://127\.0\.0\.1:\d+)")


def environment() -> dict[str, str]:
    """The environment of a command: ours, without variables that name stores or servers."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("CASYNC_")}
    # A killed process must not leave a partial cache, and cache writes must not be counted.
    return variables | {"PYTHONDONTWRITEBYTECODE": "1"}


def casync(*arguments: str | Path) -> list[str]:
    """A command line."""
    return [str(Path(sys.executable).with_name("casync")), *map(str, arguments)]


def execute(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Runs a command line to its end."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        timeout=_END_SECONDS,
        check=False,
    )


def run(*arguments: str | Path, before: Sequence[str] = ()) -> subprocess.CompletedProcess[bytes]:
    """Runs `casync` with arguments, `before` precedes the program."""
    return execute([*before, *casync(*arguments)])


class Server:
    """`casync serve` over a store, on a free port of the loopback, while the block runs.

    Attributes:
        url: Its URL.
        lines: Lines that it wrote to stderr.
        pid: Process id of its supervisor.
    """

    def __init__(self, store: Path, *options: str, before: Sequence[str] = ()) -> None:
        self.lines: list[str] = []
        self._listening = threading.Event()
        self._process = subprocess.Popen(
            [*before, *casync("serve", "--store", store, "--listen", "127.0.0.1:0", *options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        self.pid = self._process.pid
        self.url = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        if not self._listening.wait(_START_SECONDS) or not self.url:
            self.kill()
            raise AssertionError(f"serve does not listen: {self.lines}")

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line.decode(errors="replace"))
            found = _URL.search(self.lines[-1])
            if found and not self.url:
                self.url = found[1]
                self._listening.set()
        self._listening.set()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def kill(self) -> None:
        """Kills it."""
        self._process.kill()
        self._end()

    def stop(self) -> int:
        """Stops it gracefully; returns its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join()
        if self._process.stderr is not None:
            self._process.stderr.close()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.running:
            self.stop()
