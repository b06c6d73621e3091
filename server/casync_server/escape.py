"""Untrusted text made safe to show: one line of printable characters."""

from __future__ import annotations

__all__ = ["escape"]


def escape(text: str, limit: int = 4096) -> str:
    r"""`text` with control, format and undecodable characters as \xNN, cut after `limit`.

    The backslash itself stays, so this is for reading, not for decoding.
    """
    shown = text if len(text) <= limit else text[:limit] + "..."
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else _hex(c) for c in shown)


def _hex(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    data = character.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in data)
