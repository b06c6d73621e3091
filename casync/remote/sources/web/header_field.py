"""Header fields that the user gives for requests to a source."""

from __future__ import annotations

import re
from typing import Final

from casync.errors import UsageError

__all__ = ["header_field"]

_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


def header_field(name: str, value: str) -> tuple[bytes, bytes]:
    """A field that the user gave.

    Raises:
        UsageError: It is none.
    """
    if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
        raise UsageError(f"{name!r} is not a header field", next_step="Write it as NAME: VALUE.")
    return name.lower().encode(), value.strip().encode()
