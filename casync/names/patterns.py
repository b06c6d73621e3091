"""Patterns of names: a name, PREFIX/ for all below it, or a glob with * ? [ ]."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

__all__ = ["is_open", "literal_prefix", "matches"]

_GLOB: Final = re.compile(r"[*?\[]")


def literal_prefix(pattern: str) -> str:
    """What every name that fits begins with."""
    special = _GLOB.search(pattern)
    return pattern[: special.start()] if special else pattern


def matches(name: str, pattern: str) -> bool:
    """Whether `name` fits."""
    if is_open(pattern) and not pattern.endswith("/"):
        return fnmatchcase(name, pattern)
    return name.startswith(pattern) if pattern.endswith("/") else name == pattern


def is_open(pattern: str) -> bool:
    """Whether it may fit many names, or none: it is more than a name."""
    return pattern.endswith("/") or _GLOB.search(pattern) is not None
