"""Where the program begins: signals are taken over before the rest of it is loaded.

Small on purpose. A Ctrl-C that comes while Python itself starts is Python's.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from casync.cutting.process_memory import collect_rarely
from casync_cli.signals import Interrupted, stop_on_signals

__all__ = ["run"]


def run() -> NoReturn:
    """The entry point of the script."""
    collect_rarely()
    # httpx takes its own command line along if it can, and rich and pygments with that.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    try:
        stop_on_signals()
        from casync_cli.main import run_program

        status = run_program()
    except Interrupted as interrupted:  # it came while we were loading, or reporting
        status = interrupted.status
    sys.exit(status)
