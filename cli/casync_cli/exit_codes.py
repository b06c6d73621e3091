"""Exit statuses of error codes: one table for all errors in `casync.errors`.

Scripts depend on these numbers; docs/CLI.md lists them.
"""

from __future__ import annotations

from typing import Final

from casync.errors import CasyncError

__all__ = ["DAMAGED", "FAILURE", "INTERRUPTED", "STATUS", "TERMINATED", "USAGE", "exit_status"]

FAILURE: Final = 1
"""Any error without its own status."""

USAGE: Final = 2
DAMAGED: Final = 4
INTERRUPTED: Final = 130
"""128 and SIGINT."""
TERMINATED: Final = 143
"""128 and SIGTERM."""

STATUS: Final[dict[str, int]] = {
    "error": FAILURE,
    "write": FAILURE,
    "usage": USAGE,
    "source-changed": 3,
    "partial": 3,
    "integrity": DAMAGED,
    "damaged-object": DAMAGED,
    "damaged-store": DAMAGED,
    "malformed": DAMAGED,
    "digest-mismatch": DAMAGED,
    "untrusted": DAMAGED,
    "remote": 5,
    "unreachable": 5,
    "loop": 5,
    "remote-protocol": 5,
    "no-space": 6,
    "quota": 6,
    "locked": 7,
    "lost-race": 7,
    "denied": 8,
    "not-found": 9,
    "no-store": 9,
    "no-name": 9,
    "no-object": 9,
    "incomplete": 9,
    "unsupported": 10,
    "unsafe-storage": 10,
    "stopped": 11,
    "timed-out": 124,
}


def exit_status(error: CasyncError) -> int:
    """The exit status for `error`."""
    return STATUS[error.code]
