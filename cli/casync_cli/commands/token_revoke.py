"""`casync token revoke`: makes tokens invalid."""

from __future__ import annotations

from typing import Annotated

import typer

from casync_cli.invocation import invocation_of
from casync_cli.store_place import folder_of

DETAILS = (
    "Takes effect on servers within seconds. Servers still require a token after the last one is "
    "revoked. Prints the ids."
)
EXAMPLES = ("casync token revoke k3v9x0ab",)


def run(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="The id in `casync token ls`.")],
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    output = invocation.output
    folder_of(invocation.store, "Name the folder that `casync serve` has as --tokens.")
    with invocation.open_store() as store:
        revoked = [store.tokens.revoke(ident).id for ident in ids]
    if output.json_mode:
        output.document("casync.token-revoke/1", {"ids": revoked})
        return
    for ident in revoked:
        output.row(ident)
