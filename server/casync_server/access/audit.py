"""The audit log: one JSON line per request that changes something, or tries to.

It is meant to be kept longer than the access log, and its file is private to the owner. Several
workers can append to one file: each line is one write.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from casync.errors import WriteError
from casync_server.access.auth import changes
from casync_server.access.log_entry import LogEntry, format_entry
from casync_server.access.log_sink import to_stderr

__all__ = ["AuditLog"]


class AuditLog:
    """The audit log of one worker.

    Args:
        path: The file. It is created with mode 0600 if missing.

    Raises:
        WriteError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = self._open()

    def begin(self) -> None:
        """Does nothing: a request is logged when it ends."""

    def end(self, entry: LogEntry, route: str) -> None:
        """Appends a line. If that fails, writes the line to standard error."""
        if not changes(entry.method, entry.target.partition("?")[0]):
            return
        line = format_entry(entry, "json", datetime.now(UTC)) + "\n"
        try:
            os.write(self._fd, line.encode())
        except OSError as error:
            to_stderr(f"cannot write to the audit log {self._path}: {error.strerror}; {line}")

    def reopen(self) -> None:
        """Opens the file again, after log rotation has moved it away."""
        try:
            fresh = self._open()
        except WriteError as error:
            to_stderr(f"keeping the old audit log open: {error.message}")
            return
        os.close(self._fd)
        self._fd = fresh

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self._path, flags, 0o600)
        except OSError as error:
            raise WriteError(f"cannot write to {self._path}: {error.strerror}") from error
