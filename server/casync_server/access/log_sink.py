"""Where lines of the log go. Imports little: the supervisor has no other need of the framework."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["LogSink", "notes", "to_stderr"]

LogSink: TypeAlias = Callable[[str], None]


def to_stderr(line: str) -> None:
    """Writes one line. Write errors are ignored: logging must not stop the service."""
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return


def notes(sink: LogSink = to_stderr, *, quiet: bool) -> LogSink:
    """Where lines go that report no error: `sink`, or nowhere with `quiet`."""
    return _drop if quiet else sink


def _drop(line: str) -> None:
    del line
