"""Where the program begins: signals are held back before the rest of it is loaded.

Small on purpose. A signal that comes earlier, while Python itself starts, ends the process.
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
    # httpx takes its own command line along if it can, and rich and pygments with that.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    from casync_cli.main import run_program

    try:
        status = run_program()
    except Interrupted as interrupted:  # it came while we were reporting
        status = interrupted.status
    sys.exit(status)
