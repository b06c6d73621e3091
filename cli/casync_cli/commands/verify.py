"""`casync verify`: the store against its hashes."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import UsageError
from casync.sizes import format_size
from casync_cli.completion import complete_ref
from casync_cli.exit_codes import DAMAGED
from casync_cli.invocation import invocation_of
from casync_cli.output import Output
from casync_cli.parsing.counts import parse_percent
from casync_cli.parsing.times import format_duration
from casync_cli.reports.fault import fault_fields, print_fault

if TYPE_CHECKING:
    from casync.ops.upkeep.verify import VerifyReport

DETAILS = (
    "Without REF all that the store holds is read and hashed. Every object that is damaged or "
    "missing is printed, one line for each manifest that needs it: what is wrong, kind, id, "
    "manifest, names. Exit status 4 says that there are some."
)
EXAMPLES = ("casync verify", "casync verify vm/2024-06", "casync verify --quick --json")


def run(
    ctx: typer.Context,
    refs: Annotated[
        list[str] | None,
        typer.Argument(metavar="REF", help="Only what these need.", autocompletion=complete_ref),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only the structure: is everything there?")
    ] = False,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="P%", help="Read only so many of the chunks, at random."),
    ] = None,
) -> int:
    """Runs the command."""
    invocation = invocation_of(ctx)
    if quick and sample is not None:
        raise UsageError("--quick reads no chunk, so there is nothing to --sample")
    percent = 100.0 if sample is None else parse_percent(sample)
    from casync.names.name import parse_ref
    from casync.ops.upkeep.verify import VerifyOptions, verify

    parsed = [parse_ref(ref) for ref in refs or ()]
    if any(ref.path is not None for ref in parsed):
        raise UsageError("only whole manifests can be verified")
    options = VerifyOptions(quick=quick, sample=percent, seed=secrets.randbits(63))
    with invocation.open_store(read_only=True) as store, invocation.progress() as progress:
        # A damaged tree must be found by plain reads, before it is walked through the map.
        store.check()
        chosen = [store.resolve(ref) for ref in parsed] if parsed else None
        report = verify(store, chosen, options, progress)
    output = invocation.output
    if output.json_mode:
        _document(output, report)
    else:
        for fault in report.faults:
            print_fault(output, fault)
    output.flush()
    output.say(
        f"{report.manifests} manifests, {report.nodes} nodes, {report.objects} objects read, "
        f"{format_size(report.length)} in {format_duration(report.seconds)}: "
        f"{len(report.faults) or 'no'} faults"
    )
    if report.faults:
        output.say(
            "Run `casync repair` with a --server that has it. If there is none, `casync store "
            "reindex` lets go of what is damaged, and content can be prepared again."
        )
        return DAMAGED
    return 0


def _document(output: Output, report: VerifyReport) -> None:
    output.document(
        "casync.verify/1",
        {
            "manifests": report.manifests,
            "nodes": report.nodes,
            "objects": report.objects,
            "length": report.length,
            "seconds": round(report.seconds, 3),
            "faults": [fault_fields(fault) for fault in report.faults],
        },
    )
