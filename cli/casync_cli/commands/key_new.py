"""`casync key new`: makes a key for signing names."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from casync.errors import WriteError
from casync_cli.invocation import invocation_of

DETAILS = (
    "Writes a new Ed25519 private key to FILE, which must not exist, and prints the public key. "
    "The key has no password, and FILE has mode 0600: anyone who can read it can sign."
)
EXAMPLES = ("casync key new ~/.config/casync/release.pem",)


def run(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to write.")],
) -> None:
    """Runs the command."""
    from casync.fs.secret import new_secret
    from casync.names.signing import SigningKey
    from casync_cli.reports.key import report_key

    invocation = invocation_of(ctx)
    key = SigningKey.new()
    with new_secret(Path(file)) as stream:
        stream.write(key.pem())
    try:
        report_key(invocation.output, key.public)
        invocation.output.flush()
    except WriteError as error:
        raise WriteError(
            f"{error.message}; the key is in {file}",
            next_step=f"`casync key show {shlex.quote(file)}` prints its public key.",
        ) from error
