"""Paths as callers of the API give them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from casync.errors import UsageError

__all__ = ["StrPath", "as_path"]

StrPath: TypeAlias = str | os.PathLike[str]
"""A path: text, a `Path`, or another object that stands for a path."""


def as_path(path: StrPath) -> Path:
    """The path. An empty one is refused: `Path` would take it for the current folder.

    Raises:
        UsageError: The path is empty.
    """
    text = os.fspath(path)
    if not text:
        raise UsageError("an empty path names nothing")
    return Path(text)
