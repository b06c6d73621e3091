"""`casync store copy`: adds everything of one store to another one."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import NoStoreError, UsageError
from casync.sizes import format_count, format_size
from casync_cli.exit_codes import DAMAGED
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import DryRun
from casync_cli.reports.fault import fault_fields, print_faults
from casync_cli.store_place import is_address, open_place

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from casync.ops.upkeep.copy import Copied
    from casync.store.lmdb.store import LmdbStore
    from casync_cli.output import Output

DETAILS = (
    "A and B are folders or addresses of buckets; B is made if it is missing. Adds to B names "
    "with their histories and signatures, the trash, member indexes, the quota if B has none, and "
    "all objects that they need, as they are stored, each proved. What B already has does not "
    "travel, and what B has removed stays removed. Refused before anything moves if a version of "
    "a name stands for different contents. Interrupted at any point, the same command does the "
    "rest. Tokens, jobs and remembered files stay where they are. Prints what was added."
)
EXAMPLES = (
    "casync store copy /srv/casync s3://backup/casync",
    "casync store copy s3://backup/casync /srv/casync --dry-run",
    "casync store copy s3://old/casync az://new/casync",
)


def run(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="A", help="The store to read.")],
    target: Annotated[str, typer.Argument(metavar="B", help="The store to add to.")],
    dry_run: DryRun = False,
) -> int:
    """Runs the command."""
    from casync.ops.upkeep.copy import copy

    invocation = invocation_of(ctx)
    if invocation.common.store is not None:
        raise UsageError("store copy names both stores: drop --store")
    if _place(source) == _place(target):
        raise UsageError(f"{source} and {target} are the same store")
    invocation.resume = "Run the same command again; what was copied so far is kept."
    with (
        _open(invocation, source, create=False, read_only=True) as one,
        _target(invocation, target, dry_run=dry_run) as other,
    ):
        with invocation.progress() as progress:
            copied = copy(one, other, dry_run=dry_run, progress=progress)
        output = invocation.output
        if output.json_mode:
            _document(output, copied, source, target, dry_run=dry_run)
        else:
            _show(output, copied, dry_run=dry_run)
            print_faults(output, copied.faults, invocation.shown_ids(one))
    output.flush()
    if not copied.faults:
        return 0
    left_out = format_count(copied.left_out, "manifest")
    output.say(
        f"{source} lacks {format_count(len(copied.faults), 'object')}: {left_out} and their names "
        f"were left out. `casync repair --store {source}` fetches them from a --server."
    )
    return DAMAGED


def _place(place: str) -> str:
    return place.rstrip("/") if is_address(place) else os.path.realpath(place)


def _open(invocation: Invocation, place: str, *, create: bool, read_only: bool) -> LmdbStore:
    opened = open_place(
        place,
        invocation.source_options,
        create=create,
        read_only=read_only,
        allow_network_fs=False,
    )
    invocation.output.detail(f"store {opened.place}")
    invocation.warn_of(opened.warnings)
    return opened


def _target(
    invocation: Invocation, place: str, *, dry_run: bool
) -> AbstractContextManager[LmdbStore | None]:
    try:
        return _open(invocation, place, create=not dry_run, read_only=dry_run)
    except NoStoreError:
        if not dry_run:
            raise
        return nullcontext()


def _document(output: Output, copied: Copied, source: str, target: str, *, dry_run: bool) -> None:
    output.document(
        "casync.store-copy/1",
        {
            "from": source,
            "to": target,
            "versions": copied.versions,
            "removed": copied.removed,
            "manifests": copied.manifests,
            "indexes": copied.indexes,
            "objects": copied.objects,
            "stored": copied.stored,
            "left_out": copied.left_out,
            "faults": [fault_fields(fault) for fault in copied.faults],
            "dry_run": dry_run,
        },
    )


def _show(output: Output, copied: Copied, *, dry_run: bool) -> None:
    rows = [
        ("versions of names", str(copied.versions)),
        ("removed versions", str(copied.removed)),
        ("manifests", str(copied.manifests)),
        ("member indexes", str(copied.indexes)),
        ("objects", str(copied.objects)),
    ]
    output.table(
        [(label, count, count) for label, count in rows]
        + [("stored", str(copied.stored), format_size(copied.stored))]
    )
    if dry_run:
        output.say("nothing was copied: this was a dry run")
