"""`casync store compact`: rewrites the data file without unused pages."""

from __future__ import annotations

from typing import Final

import typer

from casync.sizes import format_size
from casync_cli.invocation import invocation_of
from casync_cli.store_place import folder_of

DETAILS = (
    "Writes a new data file beside the old one and replaces it when complete, so there must be "
    "space for both. No other process may have the store open (exit status 7). Run `casync gc` "
    "first if something was removed; `free` in `casync store stats` is about what is gained."
)
EXAMPLES = ("casync gc && casync store compact",)

_INSTEAD: Final = (
    "`casync gc` moves what is in use out of mostly dead segments, and deletes these after a week."
)


def run(ctx: typer.Context) -> None:
    """Runs the command."""
    from casync.store.lmdb.backup import compact

    invocation = invocation_of(ctx)
    output = invocation.output
    invocation.resume = "The store is unchanged."
    with invocation.progress() as progress:
        progress.start("compacting", None)
        done = compact(folder_of(invocation.store, _INSTEAD), advance=progress.advance)
    if output.json_mode:
        output.document("casync.store-compact/1", done._asdict())
    else:
        output.table(
            [(label, str(size), format_size(size)) for label, size in done._asdict().items()]
        )
