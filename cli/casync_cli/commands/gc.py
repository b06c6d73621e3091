"""`casync gc`: deletes objects that no manifest needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from casync.sizes import format_count, format_size
from casync_cli.columns import Column, Listing
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import DryRun
from casync_cli.parsing.times import format_duration, format_moment, parse_duration
from casync_cli.reports.push import push_fields

if TYPE_CHECKING:
    from casync.ops.upkeep.gc import Collected, CollectOptions
    from casync.store.collectable import Dead

DETAILS = (
    "Keeps objects of listed manifests, and of manifests in the trash until the window has passed"
    " and a second collection runs. The store stays usable meanwhile; objects that running "
    "commands need are kept. Free space is reused, but the file does not shrink."
)
EXAMPLES = (
    "casync gc --dry-run",
    "casync gc",
    "casync gc --window 0",
    "casync gc --window 0 --drop-pushes",
)


def run(
    ctx: typer.Context,
    window: Annotated[
        str | None,
        typer.Option(
            "--window", metavar="TIME", help="Keep removed manifests this long.  [default: 1d]"
        ),
    ] = None,
    drop_pushes: Annotated[
        bool, typer.Option("--drop-pushes", help="End all open pushes, and collect their objects.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    from casync.ops.upkeep.gc import DAY, CollectOptions, collect

    options = CollectOptions(
        window=DAY if window is None else parse_duration(window),
        dry_run=dry_run,
        drop_pushes=drop_pushes,
    )
    dead: list[dict[str, object]] = []
    listing = invocation.output.listing(Column("kind", 8), Column("id")) if dry_run else None
    invocation.resume = "Run the same command again; it continues with the rest."
    with invocation.open_store(read_only=dry_run) as store, invocation.progress() as progress:
        done = collect(
            store, options, progress, lambda each: _tell(invocation, listing, each, dead)
        )
    _report(invocation, options, done, dead)


def _tell(
    invocation: Invocation, listing: Listing | None, each: Dead, dead: list[dict[str, object]]
) -> None:
    if listing is None:
        return
    kind, ident = each.kind.name.lower(), each.id.hex()
    if invocation.output.json_mode:
        dead.append({"kind": kind, "id": ident, "plain": each.length, "stored": each.stored})
    else:
        listing.row(kind, ident)


def _report(
    invocation: Invocation,
    options: CollectOptions,
    done: Collected,
    dead: list[dict[str, object]],
) -> None:
    output = invocation.output
    if output.json_mode:
        fields: dict[str, object] = {
            "roots": done.roots,
            "emptied": done.emptied,
            "objects": done.objects,
            "stored": done.stored,
            "kept": done.kept,
            "segments": done.segments,
            "moved": done.moved,
            "pushes": push_fields(done.pushes),
            "held": done.held,
            "held_stored": done.held_stored,
            "seconds": round(done.seconds, 3),
        }
        if options.dry_run:
            output.document("casync.gc-plan/1", {**fields, "dead": dead})
        else:
            output.document("casync.gc/1", fields)
    output.flush()
    verb = "would be deleted" if options.dry_run else "deleted"
    output.say(
        f"{format_count(done.objects, 'object')}, {format_size(done.stored)} {verb}; "
        f"{format_count(done.roots, 'manifest')} kept, "
        f"{done.emptied} removed from the trash; {format_duration(done.seconds)}"
    )
    if done.pushes:
        output.say(_about_pushes(options, done))
    if done.kept:
        output.say(
            f"kept for running commands: {format_count(done.kept, 'object')}; run gc again later"
        )


def _about_pushes(options: CollectOptions, done: Collected) -> str:
    """What open pushes keep, since when they are silent, and how to end them."""
    pushes = format_count(len(done.pushes), "open push")
    if options.drop_pushes:
        return f"{pushes} {'would be ' if options.dry_run else ''}ended"
    silent = f"last heard of {format_moment(done.pushes[0].heard)}"
    if len(done.pushes) > 1:
        silent = f"the most silent one {silent}"
    return (
        f"kept for {pushes}: {format_count(done.held, 'object')}, {format_size(done.held_stored)}; "
        f"{silent}. `casync gc --drop-pushes` ends all pushes"
    )
