"""Answers to requests for a part of a resource (RFC 9110 section 14)."""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from casync.errors import RemoteProtocolError, UnsupportedError

__all__ = ["PARTIAL", "part_memory", "part_start"]

PARTIAL: Final = 206
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(?:\d{1,19}|\*)")


def part_start(
    origin: str,
    status: int,
    field: Callable[[bytes], str | None],
    span: tuple[int, int],
    max_bytes: int,
) -> int:
    """Where the body of an answer begins in the resource.

    Args:
        origin: The server, for messages.
        status: The status: 206, or that of the whole resource.
        field: Returns a header field of the answer.
        span: The bytes that were asked for.
        max_bytes: Bytes of the largest body that is worth reading.

    Raises:
        UnsupportedError: The server sends a whole resource that is larger.
        RemoteProtocolError: It sends another part than was asked for.
    """
    if status != PARTIAL:
        length = field(b"content-length") or ""
        if length.isdecimal() and int(length) > max_bytes:
            raise UnsupportedError(
                f"{origin} does not serve ranges of files",
                next_step="nginx, Caddy, Apache and object storages do; "
                "`python3 -m http.server` does not.",
            )
        return 0
    start, end = span
    found = _CONTENT_RANGE.fullmatch(field(b"content-range") or "")
    if found is None or int(found[1]) != start or int(found[2]) >= end:
        raise RemoteProtocolError(f"{origin} answers with another range than was asked for")
    return start


def part_memory(size: int) -> mmap.mmap:
    """Memory for a part, which the system has back as soon as it is not used any more.

    Large blocks of all sizes would leave holes in the memory of the interpreter.
    """
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(AttributeError, OSError):  # of systems that have only small pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
