"""Runs the `console` blocks of a document: what follows `$ ` in a shell with a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.support.program import read_all, terminal_of

__all__ = ["Step", "pattern", "run_steps", "steps_of", "with_waiting"]

MARK = "\1\n"
COLUMNS = 80
VARIABLE = {
    r"dnl-[0-9a-z]{9}": r"dnl-[0-9a-z]{9}",
    r"\b[0-9a-f]{12}\b": r"[0-9a-f]{12}",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ": r"\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ",
    r" in \d+\\\.\d s$": r" in \\d+\\.\\d s",
    "…": ".*",
}
"""What differs each time: how a document shows it, and what is printed."""


class Step(NamedTuple):
    """A command, and the lines that it prints."""

    command: str
    lines: list[str]


def steps_of(text: str) -> list[Step]:
    """The commands of a document. A line `> ` continues a command."""
    steps: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append(Step(line[2:], []))
            elif line.startswith("> "):
                steps[-1] = steps[-1]._replace(command=f"{steps[-1].command}\n{line[2:]}")
            else:
                steps[-1].lines.append(line)
    return steps


def pattern(lines: list[str]) -> str:
    """A pattern for what a step prints. `…` is anything in a line, and alone any lines."""
    found = "\n".join(map(re.escape, lines)).replace("\\-", "-").replace("\\ ", " ")
    found = re.sub("^…\n", r"(?:.*\n)*", found, flags=re.MULTILINE)
    for shown, real in VARIABLE.items():
        found = re.sub(shown, real, found, flags=re.MULTILINE)
    return found


def with_waiting(steps: list[Step]) -> list[str]:
    """The commands; those that start a server wait until it listens."""
    port, commands = "", []
    for step in steps:
        port = (re.findall(r"127\.0\.0\.1[: ](\d+)", step.command) or [port])[-1]
        starts = re.match(r"nginx |python3 -m http\.server |casync serve ", step.command)
        waits = f"\nuntil (: > /dev/tcp/127.0.0.1/{port}) 2> /dev/null; do sleep 0.1; done"
        commands.append(step.command + (waits if starts else ""))
    return commands


def run_steps(commands: list[str], folder: Path, environment: Mapping[str, str]) -> list[Step]:
    """Runs commands one after another in one shell; what they leave running is ended.

    Args:
        commands: The commands.
        folder: Where they begin.
        environment: All of their variables.
    """
    script = ["__status=0"]
    for command in commands:
        script += ["(exit $__status)", command, "__status=$?", "printf '\\001\\n'"]
    ours, theirs = terminal_of(COLUMNS)
    shell = subprocess.Popen(
        ["bash", "-c", "\n".join(script)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=dict(environment),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        screen = read_all(ours).decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
    *printed, _ = screen.split(MARK)
    return [Step(*pair) for pair in zip(commands, map(str.splitlines, printed), strict=True)]
