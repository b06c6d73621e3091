"""`casync gc`: deletes objects that no manifest needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from casync.sizes import format_count, format_size
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import DryRun
from casync_cli.parsing.times import format_duration, parse_duration

if TYPE_CHECKING:
    from casync.ops.upkeep.gc import Collected, CollectOptions
    from casync.store.collectable import Dead

DETAILS = (
    "Keeps objects of listed manifests, and of manifests in the trash until the window has passed"
    " and a second collection runs. The store stays usable meanwhile; objects that running "
    "commands need are kept. Free space is reused, but the file does not shrink."
)
EXAMPLES = ("casync gc --dry-run", "casync gc", "casync gc --window 0")


def run(
    ctx: typer.Context,
    window: Annotated[
        str | None,
        typer.Option(
            "--window", metavar="TIME", help="Keep removed manifests this long.  [default: 1d]"
        ),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    from casync.ops.upkeep.gc import DAY, CollectOptions, collect

    options = CollectOptions(
        window=DAY if window is None else parse_duration(window), dry_run=dry_run
    )
    dead: list[dict[str, object]] = []
    invocation.resume = "Run the same command again; it continues with the rest."
    with invocation.open_store(read_only=dry_run) as store, invocation.progress() as progress:
        done = collect(
            store, options, progress, lambda each: _tell(invocation, options, each, dead)
        )
    _report(invocation, options, done, dead)


def _tell(
    invocation: Invocation, options: CollectOptions, each: Dead, dead: list[dict[str, object]]
) -> None:
    if not options.dry_run:
        return
    kind, ident = each.kind.name.lower(), each.id.hex()
    if invocation.output.json_mode:
        dead.append({"kind": kind, "id": ident, "plain": each.length, "stored": each.stored})
    else:
        invocation.output.row(kind, ident)


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
    if done.kept:
        output.say(
            f"kept for running commands: {format_count(done.kept, 'object')}; run gc again later"
        )
