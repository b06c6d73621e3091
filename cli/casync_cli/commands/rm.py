"""`casync rm`: moves names and manifests into the trash, or lists what lies there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import UsageError
from casync_cli.completion import complete_ref
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import DryRun
from casync_cli.parsing.times import format_moment
from casync_cli.reports.removal import report_removal

if TYPE_CHECKING:
    from casync.store.base import Removed

DETAILS = (
    "A name goes with all its versions, NAME@N is one of them. What no other name points to goes "
    "along. A hash is refused while a name points to it. Nothing is lost at once: `undelete` "
    "brings it back. With --server that happens there. Columns: name or manifest, hash, name with "
    "its version."
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
        typer.Argument(metavar="REF", help="What to remove.", autocompletion=complete_ref),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show what is in the trash.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Runs the command."""
    from casync_cli.parsing.refs import parse_whole_ref

    invocation = invocation_of(ctx)
    if bool(refs) == list_:
        raise UsageError("rm takes REFs, or --list alone", next_step="See casync rm --help.")
    if list_:
        with invocation.tended(read_only=True) as place:
            _print(invocation, place.removed())
        return
    parsed = [parse_whole_ref(ref) for ref in refs or ()]
    with invocation.tended(read_only=dry_run) as place:
        removal = place.removal(parsed) if dry_run else place.remove(parsed)
    report_removal(invocation.output, "casync.rm/1", removal)


def _print(invocation: Invocation, removed: Iterable[Removed]) -> None:
    output = invocation.output
    if output.json_mode:
        entries = [
            {
                "manifest": entry.manifest.hex(),
                "name": entry.record.name if entry.record else None,
                "version": entry.record.version if entry.record else None,
                "removed": format_moment(entry.removed),
            }
            for entry in removed
        ]
        output.document("casync.trash/1", {"entries": entries})
        return
    for entry in removed:
        label = f"{entry.record.name}@{entry.record.version}" if entry.record else ""
        output.row(entry.manifest.hex(), format_moment(entry.removed), label)
