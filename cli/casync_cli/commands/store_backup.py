"""`casync store backup`: copies a store while it is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from casync_cli.invocation import invocation_of
from casync_cli.store_place import folder_of

DETAILS = (
    "DIR becomes a store with the state of this one at a single moment: use it with --store DIR, "
    "or copy its data.mdb back. Namespaces are copied too, each at its own moment. The store "
    "stays usable meanwhile. An interrupted backup is not a store."
)
EXAMPLES = (
    "casync store backup /mnt/backup/2024-06",
    "casync store backup /mnt/backup/2024-06 && casync verify --store /mnt/backup/2024-06",
)


def run(
    ctx: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A new folder.")],
) -> None:
    """Runs the command."""
    from casync.store.lmdb.namespaces import back_up

    invocation = invocation_of(ctx)
    folder_of(invocation.store, "`casync store copy` copies a store out of a bucket, or into one.")
    path = Path(folder)
    invocation.resume = "Run the command again with a new folder."
    written = 0

    def advance(count: int) -> None:
        nonlocal written
        written += count
        progress.advance(count)

    with invocation.open_store(read_only=True) as store, invocation.progress() as progress:
        progress.start("copying", None)
        back_up(store, path, advance=advance)
    output = invocation.output
    if output.json_mode:
        output.document("casync.store-backup/1", {"path": folder, "bytes": written})
    else:
        output.row(folder)
