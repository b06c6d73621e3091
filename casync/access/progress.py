"""The port through which operations report their progress."""

from __future__ import annotations

from typing import Final, Protocol

__all__ = ["SILENT", "Progress"]


class Progress(Protocol):
    """Receives reports of an operation. Methods are called from any thread and must be fast."""

    def start(self, what: str, total: int | None) -> None:
        """Begins a phase, and ends the previous one.

        Args:
            what: The phase in one or two words: "reading", "fetching".
            total: Bytes that the phase will process; None if unknown.
        """
        ...

    def advance(self, count: int) -> None:
        """Reports `count` more processed bytes of the phase."""
        ...

    def note(self, text: str) -> None:
        """Reports one line for the user. Untrusted text in it is not escaped."""
        ...


class _Silent:
    def start(self, what: str, total: int | None) -> None:
        pass

    def advance(self, count: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass


SILENT: Final[Progress] = _Silent()
"""Drops all reports."""
