"""`casync store reindex`: rebuilds the index, or salvages a damaged data file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from casync.errors import DamagedStoreError, NoStoreError, UsageError
from casync_cli.exit_codes import DAMAGED
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.parsing.paths import parse_path
from casync_cli.store_place import folder_of

if TYPE_CHECKING:
    from casync.store.lmdb.reindex import Reindexed
    from casync.store.lmdb.salvage import Salvaged

DETAILS = (
    "Without options, rebuilds the index, manifests and names of the store from its segments, "
    "atomically. With --salvage, reads a data.mdb that cannot be opened any more, and copies "
    "every undamaged object to the store of --store, which is created if missing; FILE is only "
    "read. Exit status 4 if damaged data was left out."
)
EXAMPLES = (
    "casync store reindex",
    "casync store reindex --salvage /broken/data.mdb --store /new/store",
)

_INSTEAD: Final = (
    "The index of a bucket is in the bucket, and each host reads it anew when its tables are gone. "
    "`casync verify` finds damage, and `casync repair --server URL` mends it."
)


def run(
    ctx: typer.Context,
    salvage: Annotated[
        str | None,
        typer.Option("--salvage", metavar="FILE", help="Read this damaged data.mdb instead."),
    ] = None,
) -> int:
    """Runs the command."""
    invocation = invocation_of(ctx)
    invocation.output.outlive_reader()
    done = (
        _reindex(invocation)
        if salvage is None
        else _salvage(invocation, parse_path(salvage, "--salvage"))
    )
    output = invocation.output
    if output.json_mode:
        output.document("casync.store-reindex/1", done._asdict())
    else:
        output.table([(label, str(count), str(count)) for label, count in done._asdict().items()])
    if not done.damaged:
        return 0
    output.flush()
    output.say(f"left out damaged records: {done.damaged}; pull their manifests again")
    return DAMAGED


def _reindex(invocation: Invocation) -> Reindexed:
    from casync.store.lmdb.reindex import reindex

    invocation.resume = "The store is unchanged."
    with invocation.progress() as progress:
        progress.start("reading segments", None)
        return reindex(folder_of(invocation.store, _INSTEAD), advance=progress.advance)


def _salvage(invocation: Invocation, file: Path) -> Salvaged:
    from casync.store.lmdb.salvage import salvage

    own = folder_of(invocation.store, "Salvage it into a folder, and copy that to the bucket.")
    if os.path.realpath(file) in (os.path.realpath(own), os.path.realpath(own / "data.mdb")):
        raise UsageError(
            f"{file} belongs to the store itself", next_step="Name a new store with --store DIR."
        )
    if not file.exists():
        raise NoStoreError(f"{file} does not exist")
    invocation.resume = "Run the same command again; objects copied so far are kept."
    with invocation.open_store(create=True) as store, invocation.progress() as progress:
        progress.start("reading", None)
        done = salvage(file, store, advance=progress.advance)
    if not any(done):
        raise DamagedStoreError(f"{file} holds no object of a casync store")
    return done
