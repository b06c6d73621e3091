"""Answers to HEAD requests that were sent one behind the other, as far as they say "unmodified".

What belongs to which request is known from the order alone. So only answers are read that nothing
can follow but the next one: with status 304, in the plainest form. At anything else reading ends.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Unmodified", "is_complete", "read_unmodified"]

_HEAD: Final = re.compile(
    rb"HTTP/1\.1 304(?: [^\x00-\x08\x0a-\x1f\x7f]*)?\r\n"
    rb"((?:[-!#$%&'*+.^_`|~0-9a-zA-Z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*)\r\n"
)
_ETAG: Final = b"\netag:"
_CLOSES: Final = re.compile(rb"^connection:.*close", re.MULTILINE)


class Unmodified(NamedTuple):
    """An answer with status 304.

    Attributes:
        etag: Its ETag; empty if it has none or several.
        end: Where it ends in the bytes that were read.
        closes: Whether it is the last one of its connection.
    """

    etag: str
    end: int
    closes: bool


def read_unmodified(data: bytes, at: int) -> Unmodified | None:
    """The answer that begins at an offset, if it has status 304."""
    head = _HEAD.match(data, at)
    if head is None:
        return None
    fields = b"\n" + head[1]
    lower = fields.lower()
    etag = b""
    if lower.count(_ETAG) == 1:
        start = lower.index(_ETAG) + len(_ETAG)
        etag = fields[start : fields.index(b"\r", start)].strip(b" \t")
    closes = b"close" in lower and _CLOSES.search(lower) is not None
    return Unmodified(etag.decode("latin-1"), head.end(), closes)


def is_complete(data: bytes, at: int) -> bool:
    """Whether a whole head begins at an offset."""
    return data.find(b"\r\n\r\n", at) >= 0
