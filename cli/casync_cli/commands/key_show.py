"""`casync key show`: the public key of a private one."""

from __future__ import annotations

from typing import Annotated

import typer

from casync_cli.invocation import invocation_of
from casync_cli.parsing.signing_key import read_key

DETAILS = "Prints the public key that belongs to the private one in FILE: what --trust takes."
EXAMPLES = ("casync key show ~/.config/casync/release.pem",)


def run(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A private key as PEM.")],
) -> None:
    """Runs the command."""
    from casync_cli.reports.key import report_key

    invocation = invocation_of(ctx)
    report_key(invocation.output, read_key(file, invocation.warn_of).public)
