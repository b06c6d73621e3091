"""The entry point of the program: blocks signals before the rest is loaded.

It is small, because a signal that arrives before this point kills the process.
"""

from __future__ import annotations

import sys

from casync_cli.signals import Interrupted, hold_signals

__all__ = ["run"]


def run() -> None:
    """The entry point of the script."""
    hold_signals()
    from casync.cutting.process_memory import collect_rarely

    collect_rarely()
    # httpx would import its own command line, with rich and pygments.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    from casync_cli.main import run_program

    try:
        status = run_program()
    except Interrupted as interrupted:  # during the report of an error
        status = interrupted.status
    sys.exit(status)
