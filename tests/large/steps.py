"""Steps of the large runs: commands that are timed, with the peak memory of all their processes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from benchmarks.measure import Command, Run, run
from benchmarks.memory import Sampler
from tests.crash.commands import Server, casync

__all__ = ["MEMORY_BYTES", "YOUNG_SECONDS", "count", "output", "serving", "step"]

YOUNG_SECONDS: Final = 3.0
"""This long after a write, the times of a file tell it from its next version."""

_LIMIT_SECONDS: Final = 3600.0
MEMORY_BYTES: Final = 400 << 20
"""Peak memory allowed for a command or a server, without the page cache."""


def step(title: str, *arguments: str | Path, most: int = MEMORY_BYTES) -> dict[str, Any]:
    """The document of `timed`.

    Raises:
        CommandError, AssertionError: As `timed`.
    """
    return timed(title, *arguments, most=most)[0]


def timed(
    title: str,
    *arguments: str | Path,
    most: int = MEMORY_BYTES,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, Any], Run]:
    """Runs `casync` with --json, prints how it went, and returns the document and the figures.

    Args:
        title: What it does.
        arguments: Those of the program.
        most: The memory that it may take, in bytes.
        environment: Variables to set.

    Raises:
        CommandError: It failed.
        AssertionError: It took too much memory.
    """
    done = run(
        Command(
            tuple(casync(*arguments, "--json", "--no-progress")),
            env=environment,
            limit=_LIMIT_SECONDS,
        ),
        sample=True,
    )
    document = dict(json.loads(done.out))
    figures = " ".join(f"{key}={value}" for key, value in _counts(document))
    memory = done.memory or 0
    print(
        f"{title}: {done.seconds:.1f} s, {done.cpu:.1f} s of CPU, {memory / 2**20:.0f} MiB; "
        f"{figures}",
        flush=True,
    )
    assert memory < most, f"{title} took {memory / 2**20:.0f} MiB"
    return document, done


def _counts(document: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in document.items():
        if key == "manifest":
            yield key, str(value)[:12]
        elif key not in ("schema", "seconds", "output") and value not in (None, [], {}):
            yield key, len(value) if isinstance(value, list) else value


@contextmanager
def serving(store: Path) -> Iterator[str]:
    """A server over a store; prints its peak memory when the block ends."""
    with Server(store) as server:
        sampler = Sampler(server.pid)
        sampler.start()
        try:
            yield server.url
        finally:
            sampler.stop()
            print(f"serve: {sampler.memory / 2**20:.0f} MiB", flush=True)
    assert sampler.memory < MEMORY_BYTES


def output(*command: str | Path) -> str:
    """The output of a system command, which must succeed."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stderr[-1000:]}"
    return done.stdout


def count(folder: Path) -> int:
    """The number of entries in a folder and below it."""
    return sum(len(folders) + len(files) for _, folders, files in os.walk(folder))
