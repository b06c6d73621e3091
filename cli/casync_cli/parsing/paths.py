"""Reads paths from the command line."""

from __future__ import annotations

from pathlib import Path

from casync.errors import UsageError

__all__ = ["parse_path"]


def parse_path(text: str, option: str) -> Path:
    """A path. An empty one is refused: `Path` would take it for the current folder.

    Args:
        text: The argument.
        option: What it is the argument of, for the message.

    Raises:
        UsageError: `text` is empty.
    """
    if not text:
        raise UsageError(f"{option} needs a path")
    return Path(text)
