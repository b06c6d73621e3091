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

__all__ = ["Step", "run_steps", "steps_of"]

MARK = "\1\n"
COLUMNS = 80


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
