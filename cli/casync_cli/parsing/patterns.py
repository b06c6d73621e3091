"""Patterns of names on the command line; `casync.names.patterns` defines them."""

from __future__ import annotations

from casync.errors import NoNameError, UsageError
from casync.names import patterns
from casync.names.patterns import matches

__all__ = ["check_open", "literal_prefix", "matches"]


def literal_prefix(pattern: str) -> str:
    """The longest prefix that all matching names have.

    Raises:
        UsageError: No name can match.
    """
    try:
        pattern.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"names are UTF-8, so none can match {pattern}") from error
    return patterns.literal_prefix(pattern)


def check_open(pattern: str) -> None:
    """Checks a pattern without matches: a glob or prefix may match nothing.

    Raises:
        NoNameError: The pattern is a single name, which does not exist.
    """
    if not patterns.is_open(pattern):
        raise NoNameError(f"no name {pattern} here", next_step="`casync ls` lists the names.")
