"""`casync store compact`: a data file without unused pages."""

from __future__ import annotations

import typer

from casync.sizes import format_size
from casync_cli.invocation import invocation_of

DETAILS = (
    "The data file is written anew beside the old one, and takes its place when it is complete; "
    "there must be room for both. Nobody may have the store open meanwhile: exit status 7. "
    "`casync gc` goes first, when something was removed; `casync store stats` shows as `free` "
    "about what there is to gain."
)
EXAMPLES = ("casync gc && casync store compact",)


def run(ctx: typer.Context) -> None:
    """Runs the command."""
    from casync.store.lmdb.backup import compact

    invocation = invocation_of(ctx)
    output = invocation.output
    invocation.resume = "The store is as it was."
    with invocation.progress() as progress:
        progress.start("compacting", None)
        done = compact(invocation.store_path, advance=progress.advance)
    if output.json_mode:
        output.document("casync.store-compact/1", done._asdict())
    else:
        output.table(
            [(label, str(size), format_size(size)) for label, size in done._asdict().items()]
        )
