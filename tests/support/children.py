"""The child processes of a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Those that were not waited for yet; empty when the process itself is gone."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        return []
    return sorted(found)


def ended_unread(
    module: str, arguments: Sequence[object], data: bytes, fds: Sequence[int]
) -> tuple[int, bytes]:
    """Runs a module whose answers have no reader; gives its exit status and its standard error.

    Args:
        module: The module.
        arguments: Its arguments.
        data: Its standard input.
        fds: The descriptors that it gets.
    """
    unread, answers = os.pipe()
    os.close(unread)
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", module, *map(str, arguments)],
            input=data,
            stdout=answers,
            stderr=subprocess.PIPE,
            pass_fds=fds,
            check=False,
        )
    finally:
        os.close(answers)
    return ended.returncode, ended.stderr
