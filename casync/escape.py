"""Untrusted text made safe to show: names, paths, and what servers and clients say.

Called where text is shown, at the edges; errors carry text as it is.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["escape", "keep_exact", "keep_unicode"]

_NEVER: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def escape(text: str) -> str:
    r"""`text` on one line for people: what does not print becomes \xNN, byte by byte.

    That is control characters, bytes that are not UTF-8, and what makes text look like another:
    marks that turn the direction, and characters without width.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def keep_exact(text: str) -> str:
    r"""`text` for scripts: only control characters and bytes that are not UTF-8 become \xNN."""
    return _NEVER.sub(lambda match: _bytes(match[0]), text)


def keep_unicode(text: str) -> str:
    r"""`text` for JSON, which has its own escapes: only bytes that are not UTF-8 become \xNN."""
    return _SURROGATE.sub(lambda match: _bytes(match[0]), text)


def _shown(character: str) -> str:
    return character if character.isprintable() else _bytes(character)


def _bytes(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that os.fsdecode could not decode
        return f"\\x{ord(character) - 0xDC00:02x}"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
