"""The audit log: one JSON line for each request that changes something, or tries to.

Unlike the access log it may be kept for long, and is worth keeping from others. Lines of several
workers do not mix: each is appended in one write.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from casync.errors import WriteError
from casync_server.access.access_log import LogEntry, format_entry, to_stderr
from casync_server.access.auth import changes

__all__ = ["AuditLog"]


class AuditLog:
    """The audit log of one worker.

    Args:
        path: The file; it is made, for its owner alone, when it is not there.

    Raises:
        WriteError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = self._open()

    def begin(self) -> None:
        """A request came; it is written when it is over."""

    def end(self, entry: LogEntry, route: str) -> None:
        """Appends a line. When it cannot be, the log of the server says so."""
        if not changes(entry.method, entry.target.partition("?")[0]):
            return
        line = format_entry(entry, "json", datetime.now(UTC)) + "\n"
        try:
            os.write(self._fd, line.encode())
        except OSError as error:
            to_stderr(f"the audit log {self._path} cannot be written: {error.strerror}; {line}")

    def reopen(self) -> None:
        """Goes on in a new file, when somebody has moved the old one away."""
        try:
            fresh = self._open()
        except WriteError as error:
            to_stderr(f"the old audit log stays: {error.message}")
            return
        os.close(self._fd)
        self._fd = fresh

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self._path, flags, 0o600)
        except OSError as error:
            raise WriteError(f"cannot write to {self._path}: {error.strerror}") from error
