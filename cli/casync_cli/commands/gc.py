"""`casync gc`: deletes what nothing leads to any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from casync.sizes import format_size
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import DryRun
from casync_cli.parsing.times import format_duration, parse_duration

if TYPE_CHECKING:
    from casync.ops.upkeep.gc import Collected, CollectOptions
    from casync.store.collectable import Dead

DETAILS = (
    "Kept is what listed manifests need, and what is in the trash for less than the window or has "
    "not seen two collections. Others may go on preparing, pulling and serving meanwhile; what "
    "they rely on stays. The room is used again; the file does not shrink."
)
EXAMPLES = ("casync gc --dry-run", "casync gc", "casync gc --window 0")


def run(
    ctx: typer.Context,
    window: Annotated[
        str | None,
        typer.Option(
            "--window", metavar="TIME", help="Keep what was removed for so long.  [default: 1d]"
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
    invocation.resume = "Run the same command again; what was deleted so far stays deleted."
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
        f"{done.objects} objects, {format_size(done.stored)} {verb}; {done.roots} manifests kept, "
        f"{done.emptied} left the trash; {format_duration(done.seconds)}"
    )
    if done.kept:
        output.say(f"{done.kept} more are relied upon by writers at work; collect again later")
