"""`casync store backup`: a copy of a store that others may be using."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from casync_cli.invocation import invocation_of

DETAILS = (
    "DIR is a store itself then, as this one was at one moment: use it with --store DIR, or copy "
    "its data.mdb back. Namespaces are copied along, each as it was at a moment of its own. "
    "Others may prepare, pull and serve meanwhile. A backup that is interrupted is no store yet."
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
    path = Path(folder)
    invocation.resume = "Run the command again, for a new folder."
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
