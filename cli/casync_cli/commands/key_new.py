"""`casync key new`: makes a key to sign names with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from casync.errors import UsageError
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
    from casync.fs.os_errors import writing
    from casync.fs.settle import settle_file
    from casync.names.signing import SigningKey
    from casync_cli.reports.key import report_key

    invocation = invocation_of(ctx)
    path, key = Path(file), SigningKey.new()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with writing(path):
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError as error:
            raise UsageError(
                f"{path} is there already", next_step="A key is not replaced; choose another file."
            ) from error
        with open(descriptor, "wb") as stream:
            stream.write(key.pem())
        settle_file(path)
    report_key(invocation.output, key.public)
