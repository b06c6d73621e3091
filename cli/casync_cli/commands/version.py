"""`casync version`: prints the version."""

from __future__ import annotations

import typer

from casync import __version__
from casync_cli.invocation import invocation_of

DETAILS = "As `casync --version`."
EXAMPLES = ("casync version", "casync version --json")


def run(ctx: typer.Context) -> None:
    """Runs the command."""
    output = invocation_of(ctx).output
    if output.json_mode:
        output.document("casync.version/1", {"version": __version__})
    else:
        output.row(f"casync {__version__}")
