"""Patterns of names: a name, PREFIX/ for all below it, or a glob with * ? [ ]."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

from casync.errors import NoNameError, UsageError

__all__ = ["check_open", "literal_prefix", "matches"]

_GLOB: Final = re.compile(r"[*?\[]")


def literal_prefix(pattern: str) -> str:
    """What every name that fits begins with.

    Raises:
        UsageError: No name can fit.
    """
    try:
        pattern.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"names are UTF-8; nothing fits {pattern}") from error
    special = _GLOB.search(pattern)
    return pattern[: special.start()] if special else pattern


def matches(name: str, pattern: str) -> bool:
    """Whether `name` fits."""
    if _GLOB.search(pattern):
        return fnmatchcase(name, pattern)
    return name.startswith(pattern) if pattern.endswith("/") else name == pattern


def check_open(pattern: str) -> None:
    """Lets a pattern pass that may as well fit nothing: one that is more than a single name.

    Raises:
        NoNameError: It is a single name, which is not here then.
    """
    if not pattern.endswith("/") and not _GLOB.search(pattern):
        raise NoNameError(f"no name {pattern} here", next_step="`casync ls` lists the names.")
