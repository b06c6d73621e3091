"""Parses header fields: `NAME: VALUE`, or a file of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from casync.errors import UsageError
from casync.fs.os_errors import read_error
from casync_cli.parsing.paths import parse_path

__all__ = ["parse_headers"]

_FIELD: Final = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)"
)
"""A field of RFC 9110, with a value of visible ASCII."""

_OWN: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
"""Fields that a download depends on."""

_MAX_BYTES: Final = 64 * 1024


def parse_headers(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Parses header fields.

    Args:
        texts: `NAME: VALUE` each, or `@FILE` for a file with one in each line.

    Raises:
        UsageError: It is not a field, or one that casync sets itself. The value is not shown.
        CasyncError: A file cannot be read.
    """
    return tuple(field for text in texts for field in _parse(text))


def _parse(text: str) -> list[tuple[str, str]]:
    if text.startswith("@"):
        return [_field(line) for line in _lines(text[1:]) if line.strip()]
    return [_field(text)]


def _lines(file: str) -> list[str]:
    path = parse_path(file, "--header @")
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_BYTES).decode("ascii", "replace").splitlines()
    except OSError as error:
        raise read_error(error, f"the headers in {path}") from error


def _field(text: str) -> tuple[str, str]:
    match = _FIELD.fullmatch(text.strip())
    if match is None:
        name, colon, _ = text.partition(":")
        shown = f": {name.strip()}: …" if colon else ""
        raise UsageError(f"not a header{shown}", next_step="Write it as in --header 'Name: value'.")
    if match[1].lower() in _OWN:
        raise UsageError(
            f"the header {match[1]} is set by casync", next_step="Leave this --header out."
        )
    return match[1], match[2]
