"""`casync repair`: what is damaged here, fetched from where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import UsageError
from casync.sizes import format_size
from casync_cli.completion import complete_ref
from casync_cli.exit_codes import DAMAGED
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import DryRun
from casync_cli.reports.fault import fault_fields, print_fault

if TYPE_CHECKING:
    from casync.ops.upkeep.repair import Repaired

DETAILS = (
    "Verifies the store, or what the REFs need, fetches what is damaged or missing from the "
    "servers and stores it again. Prints `mended`, kind and id of each object; then, as `verify` "
    "does, what is still wrong: exit status 4."
)
EXAMPLES = (
    "casync repair --server http://10.0.0.1:8080",
    "casync repair vm/2024-06 --server https://a --server https://b --dry-run",
)


def run(
    ctx: typer.Context,
    refs: Annotated[
        list[str] | None,
        typer.Argument(metavar="REF", help="Only what these need.", autocompletion=complete_ref),
    ] = None,
    dry_run: DryRun = False,
) -> int:
    """Runs the command."""
    from casync_cli.parsing.refs import parse_whole_ref

    invocation = invocation_of(ctx)
    parsed = [parse_whole_ref(ref) for ref in refs or ()]
    servers = invocation.servers
    if not servers:
        raise UsageError("repair needs a server", next_step="Give one with --server URL.")
    transport = invocation.transport(servers)
    from casync import api

    invocation.resume = "Run the same command again; what was mended stays mended."
    with invocation.open_store(read_only=dry_run) as store, invocation.progress() as progress:
        done = api.repair(
            store, parsed, servers=servers, transport=transport, dry_run=dry_run, progress=progress
        )
    _report(invocation, done, dry_run=dry_run)
    return DAMAGED if done.faults else 0


def _report(invocation: Invocation, done: Repaired, *, dry_run: bool) -> None:
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
        for kind, ident in done.mended:
            output.row("mended", kind.name.lower(), ident.hex())
        for fault in done.faults:
            print_fault(output, fault)
    output.flush()
    verb = "can be mended" if dry_run else "mended"
    output.say(
        f"{len(done.mended)} objects {verb}, {format_size(done.stored)}; "
        f"{len(done.faults) or 'no'} faults left"
    )
