"""Patterns of names on the command line; `casync.names.patterns` says what they mean."""

from __future__ import annotations

from casync.errors import NoNameError, UsageError
from casync.names import patterns
from casync.names.patterns import matches

__all__ = ["check_open", "literal_prefix", "matches"]


def literal_prefix(pattern: str) -> str:
    """What every name that fits begins with.

    Raises:
        UsageError: No name can fit.
    """
    try:
        pattern.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"names are UTF-8; nothing fits {pattern}") from error
    return patterns.literal_prefix(pattern)


def check_open(pattern: str) -> None:
    """Lets a pattern pass that may as well fit nothing: one that is more than a single name.

    Raises:
        NoNameError: It is a single name, which is not here then.
    """
    if not patterns.is_open(pattern):
        raise NoNameError(f"no name {pattern} here", next_step="`casync ls` lists the names.")
