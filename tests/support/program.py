"""Runs the program `casync` as a user does: as a process, with pipes or with a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.warm_program import fits, run_warm

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "casync_cli"]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "server"), str(ROOT / "cli")])
TIMEOUT = 120.0


class Ran(NamedTuple):
    """How a run ended."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def document(self) -> dict[str, Any]:
        """Stdout as the one JSON document that it must be."""
        assert self.text.count("\n") == 1, self.text
        return dict(json.loads(self.text))

    @property
    def problem(self) -> dict[str, Any]:
        """The error on stderr as JSON."""
        return dict(json.loads(self.err.splitlines()[-1]))


class Program:
    """The program with a home, a store and an environment of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = home / "store"
        # Without the developer's own settings of casync, and with our sources first.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CASYNC_", "XDG_"))}
        self.environment = {
            **kept,
            "HOME": str(home),
            "PYTHONPATH": PATHS,
            "CASYNC_STORE": str(self.store),
        }
        self.environment.pop("NO_COLOR", None)

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        """Starts the program with pipes, and leaves it running."""
        usual: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "cwd": self.home,
            "env": self.environment,
        }
        return subprocess.Popen([*COMMAND, *map(str, arguments)], **(usual | options))

    def run(self, *arguments: str | Path, stdin: bytes = b"", **environment: str) -> Ran:
        """Runs the program to its end, where it can be without starting an interpreter."""
        variables = {**self.environment, **environment}
        if fits(variables, PATHS):
            status, out, written = run_warm(
                [*map(str, arguments)], variables, self.home, stdin, TIMEOUT
            )
            return Ran(status, out, written.decode())
        with self.start(*arguments, stdin=subprocess.PIPE, env=variables) as process:
            try:
                out, err = process.communicate(stdin, timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()  # or leaving the `with` block would never end
                raise
        return Ran(process.returncode, out, err.decode())

    def good(self, *arguments: str | Path, stdin: bytes = b"", **environment: str) -> Ran:
        """Runs the program, which must succeed."""
        ran = self.run(*arguments, stdin=stdin, **environment)
        assert ran.status == 0, ran
        return ran

    def on_terminal(self, *arguments: str | Path, **environment: str) -> tuple[int, str]:
        """Runs the program with a terminal as all three streams; returns status and screen."""
        ours, theirs = pty.openpty()
        try:
            with self.start(
                *arguments,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env={**self.environment, "TERM": "xterm", **environment},
            ) as process:
                os.close(theirs)
                screen = read_all(ours)
                status = process.wait(TIMEOUT)
        finally:
            os.close(ours)
        return status, screen.decode(errors="replace").replace("\r\n", "\n")


def terminal_of(columns: int) -> tuple[int, int]:
    """A terminal with lines of so many characters: our end, and the end for a program."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


def read_until(descriptor: int, wanted: bytes) -> bytes:
    """Reads until `wanted` was seen; an end before it is a failure."""
    seen = b""
    while wanted not in seen:
        part = os.read(descriptor, 4096)
        assert part, seen
        seen += part
    return seen


def read_all(descriptor: int) -> bytes:
    parts = []
    while select.select([descriptor], [], [], TIMEOUT)[0]:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # the other side was closed
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)
