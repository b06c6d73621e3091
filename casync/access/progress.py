"""How an operation tells the caller how far it is. Must not know about terminals or clocks."""

from __future__ import annotations

from typing import Final, Protocol

__all__ = ["SILENT", "Progress"]


class Progress(Protocol):
    """Takes what an operation reports. Methods may be called from any thread and must be quick."""

    def start(self, what: str, total: int | None) -> None:
        """A phase begins, and ends the one before it.

        Args:
            what: What is done, in one or two words: "reading", "fetching".
            total: Bytes that the phase will go through, or None when nobody knows.
        """
        ...

    def advance(self, count: int) -> None:
        """`count` more bytes of the phase are done."""
        ...

    def note(self, text: str) -> None:
        """One line that the user should see. Untrusted text in it is not escaped yet."""
        ...


class _Silent:
    """Drops all reports."""

    def start(self, what: str, total: int | None) -> None:
        """Drops it."""

    def advance(self, count: int) -> None:
        """Drops it."""

    def note(self, text: str) -> None:
        """Drops it."""


SILENT: Final[Progress] = _Silent()
"""For callers that do not want to know."""
