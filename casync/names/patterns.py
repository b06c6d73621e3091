"""Patterns of names: a name, PREFIX/ for all names below it, or a glob with * ? [ ]."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

__all__ = ["is_open", "literal_prefix", "matches"]

_GLOB: Final = re.compile(r"[*?\[]")


def literal_prefix(pattern: str) -> str:
    """The literal text that every matching name begins with."""
    special = _GLOB.search(pattern)
    return pattern[: special.start()] if special else pattern


def matches(name: str, pattern: str) -> bool:
    """Whether `name` matches `pattern`."""
    if is_open(pattern) and not pattern.endswith("/"):
        return fnmatchcase(name, pattern)
    return name.startswith(pattern) if pattern.endswith("/") else name == pattern


def is_open(pattern: str) -> bool:
    """Whether `pattern` is a prefix or a glob, rather than a single name."""
    return pattern.endswith("/") or _GLOB.search(pattern) is not None
