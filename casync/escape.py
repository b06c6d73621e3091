"""Makes untrusted text safe to show: names, paths, and messages of servers and clients.

Text is escaped at the edges, where it is shown; errors carry it unchanged.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["escape", "keep_exact", "keep_unicode"]

_NEVER: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def escape(text: str) -> str:
    r"""`text` on one line for people: unprintable characters become \xNN, byte by byte.

    These are control characters, bytes that are not UTF-8, and characters that make text look
    different: marks of writing direction and characters without width.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def keep_exact(text: str) -> str:
    r"""`text` for scripts: only control characters and bytes that are not UTF-8 become \xNN."""
    return _NEVER.sub(lambda match: _bytes(match[0]), text)


def keep_unicode(text: str) -> str:
    r"""`text` for JSON, which has escapes of its own: only bytes that are not UTF-8 become \xNN."""
    return _SURROGATE.sub(lambda match: _bytes(match[0]), text)


def _shown(character: str) -> str:
    return character if character.isprintable() else _bytes(character)


def _bytes(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that os.fsdecode could not decode
        return f"\\x{ord(character) - 0xDC00:02x}"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
