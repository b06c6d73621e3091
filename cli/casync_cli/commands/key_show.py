"""`casync key show`: prints the public key of a private key."""

from __future__ import annotations

from typing import Annotated

import typer

from casync_cli.invocation import invocation_of
from casync_cli.parsing.signing_key import read_key

DETAILS = "Prints the public key of the private key in FILE, in the form that --trust takes."
EXAMPLES = ("casync key show ~/.config/casync/release.pem",)


def run(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A private key in PEM.")],
) -> None:
    """Runs the command."""
    from casync_cli.reports.key import report_key

    invocation = invocation_of(ctx)
    report_key(invocation.output, read_key(file, invocation.warn_of).public)
