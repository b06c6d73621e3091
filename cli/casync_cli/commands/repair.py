"""`casync repair`: fetches damaged and missing objects of the store from servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import UsageError
from casync.sizes import format_count, format_size
from casync_cli.completion import complete_ref
from casync_cli.exit_codes import DAMAGED
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import DryRun
from casync_cli.reports.fault import fault_fields, print_faults

if TYPE_CHECKING:
    from casync.ops.upkeep.repair import Repaired
    from casync.store.lmdb.store import LmdbStore

DETAILS = (
    "Verifies the store, or only the objects of REFs, and fetches damaged or missing objects from"
    " the servers. Prints `mended`, kind and id of each repaired object, then the remaining "
    "faults as `verify` does. Exit status 4 if faults remain."
)
EXAMPLES = (
    "casync repair --server http://10.0.0.1:8080",
    "casync repair vm/2024-06 --server https://a --server https://b --dry-run",
)


def run(
    ctx: typer.Context,
    refs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REF", help="Only the objects of these.", autocompletion=complete_ref
        ),
    ] = None,
    dry_run: DryRun = False,
) -> int:
    """Runs the command."""
    from casync_cli.parsing.refs import parse_whole_ref

    invocation = invocation_of(ctx)
    invocation.output.outlive_reader()
    parsed = [parse_whole_ref(ref) for ref in refs or ()]
    servers = invocation.servers
    if not servers:
        raise UsageError("repair needs a server", next_step="Give one with --server URL.")
    transport = invocation.transport(servers)
    from casync import api

    invocation.resume = "Run the same command again; repaired objects stay repaired."
    with invocation.open_store(read_only=dry_run) as store:
        with invocation.progress() as progress:
            done = api.repair(
                store,
                parsed,
                servers=servers,
                transport=transport,
                dry_run=dry_run,
                progress=progress,
            )
        _report(invocation, done, store, dry_run=dry_run)
    return DAMAGED if done.faults else 0


def _report(invocation: Invocation, done: Repaired, store: LmdbStore, *, dry_run: bool) -> None:
    output = invocation.output
    if output.json_mode:
        output.document(
            "casync.repair/1",
            {
                "mended": [{"kind": k.name.lower(), "id": ident.hex()} for k, ident in done.mended],
                "stored": done.stored,
                "faults": [fault_fields(fault) for fault in done.faults],
            },
        )
    else:
        print_faults(output, done.faults, invocation.shown_ids(store, is_local=True), done.mended)
    output.flush()
    verb = "can be repaired" if dry_run else "repaired"
    output.say(
        f"{format_count(len(done.mended), 'object')} {verb}, {format_size(done.stored)}; "
        f"{format_count(len(done.faults), 'fault')} left"
    )
