"""`casync key new`: makes a key to sign names with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from casync_cli.invocation import invocation_of

DETAILS = (
    "Writes a new private key of Ed25519 to FILE, which must not exist, and prints the public one. "
    "Whoever can read FILE can sign; it has no password, and nobody else may read it."
)
EXAMPLES = ("casync key new ~/.config/casync/release.pem",)


def run(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to write it.")],
) -> None:
    """Runs the command."""
    from casync.fs.secret import new_secret
    from casync.names.signing import SigningKey
    from casync_cli.reports.key import report_key

    invocation = invocation_of(ctx)
    key = SigningKey.new()
    with new_secret(Path(file)) as stream:
        stream.write(key.pem())
    report_key(invocation.output, key.public)
