"""Content for a terminal: text as it is, and nothing that is binary."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final

from casync.errors import UsageError

if TYPE_CHECKING:
    from casync.ids import Buffer

__all__ = ["text_only"]

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
"""Control characters, except those that only move on: tab, line feed, form feed, return."""


def text_only(blocks: Iterator[Buffer], label: str, step: str) -> Iterator[Buffer]:
    """The same blocks, if the first one begins a text.

    Args:
        blocks: Content.
        label: What messages call it.
        step: What to do with binary data.

    Raises:
        UsageError: It is binary data.
    """
    first = next(blocks, b"")
    if not _is_text(first):
        raise UsageError(f"{label} is binary data, and stdout is a terminal", next_step=step)
    return chain([first], blocks)


def _is_text(data: Buffer) -> bool:
    """Whether a terminal shows `data`, the beginning of some content, as it is.

    It is UTF-8 without control characters, but may end inside a character.
    """
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(bytes(data))
    except UnicodeDecodeError:
        return False
    return _CONTROL.search(text) is None
