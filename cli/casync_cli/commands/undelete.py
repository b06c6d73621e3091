"""`casync undelete`: restores names and manifests from the trash."""

from __future__ import annotations

from typing import Annotated

import typer

from casync.errors import UsageError
from casync_cli.invocation import invocation_of
from casync_cli.reports.removal import report_removal

DETAILS = (
    "NAME restores all versions in the trash, each with its manifest. Versions set meanwhile "
    "stay. With --server, the trash is that of the server. Columns as in `rm`."
)
EXAMPLES = ("casync undelete vm/2023-01", "casync undelete vm/nightly@3")


def run(
    ctx: typer.Context,
    refs: Annotated[
        list[str], typer.Argument(metavar="REF", help="The name, version or hash to restore.")
    ],
) -> None:
    """Runs the command."""
    from casync_cli.parsing.refs import parse_whole_ref

    invocation = invocation_of(ctx)
    parsed = [parse_whole_ref(ref) for ref in refs]
    for ref in parsed:
        if ref.prefix is not None:
            raise UsageError(
                f"{ref} is not a full hash", next_step="`casync rm --list` shows full hashes."
            )
    with invocation.tended() as place:
        restored = place.restore(parsed)
    report_removal(invocation.output, "casync.undelete/1", restored)
