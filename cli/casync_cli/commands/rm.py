"""`casync rm`: moves names and manifests to the trash, or lists the trash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import UsageError
from casync_cli.columns import Column, hashes, moments
from casync_cli.completion import complete_ref
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import DryRun
from casync_cli.parsing.times import format_moment
from casync_cli.reports.removal import report_removal

if TYPE_CHECKING:
    from casync.store.base import Removed

DETAILS = (
    "NAME removes all versions of a name, NAME@N only version N; manifests that no other name "
    "points to are removed with them. HASH fails while a name points to it. `undelete` restores "
    "from the trash. With --server, names and trash are those of the server. Columns: `name` or "
    "`manifest`, hash, name with version."
)
EXAMPLES = (
    "casync rm vm/2023-01 --dry-run",
    "casync rm vm/nightly@3 vm/nightly@4",
    "casync rm --list",
    "casync rm vm/nightly@3 --server URL",
)


def run(
    ctx: typer.Context,
    refs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REF", help="The name, version or hash to remove.", autocompletion=complete_ref
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the trash.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Runs the command."""
    from casync_cli.parsing.refs import parse_whole_ref

    invocation = invocation_of(ctx)
    if bool(refs) == list_:
        raise UsageError("rm takes either REFs or --list", next_step="See casync rm --help.")
    if list_:
        with invocation.tended(read_only=True) as place:
            _print(invocation, place.removed())
        return
    parsed = [parse_whole_ref(ref) for ref in refs or ()]
    with invocation.tended(read_only=dry_run) as place:
        removal = place.removal(parsed) if dry_run else place.remove(parsed)
        show = invocation.shown_ids(place) if dry_run else invocation.shown_removed(place.removed)
        report_removal(invocation.output, "casync.rm/1", removal, show)


def _print(invocation: Invocation, removed: Iterable[Removed]) -> None:
    output = invocation.output
    if output.json_mode:
        fields = [
            {
                "manifest": entry.manifest.hex(),
                "name": entry.record.name if entry.record else None,
                "version": entry.record.version if entry.record else None,
                "removed": format_moment(entry.removed),
            }
            for entry in removed
        ]
        output.document("casync.trash/1", {"entries": fields})
        return
    entries = list(removed)
    show = invocation.shown_removed(lambda: entries)
    listing = output.listing(hashes("hash"), moments("removed"), Column("name"))
    for entry in entries:
        label = f"{entry.record.name}@{entry.record.version}" if entry.record else None
        listing.row(show(entry.manifest), format_moment(entry.removed), label)
