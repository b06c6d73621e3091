"""`casync verify`: checks the store against its hashes."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Final

import typer

from casync.errors import UsageError
from casync.sizes import format_count, format_size
from casync_cli.completion import complete_ref
from casync_cli.exit_codes import DAMAGED
from casync_cli.invocation import invocation_of
from casync_cli.output import Output
from casync_cli.parsing.counts import parse_percent
from casync_cli.parsing.times import format_duration
from casync_cli.reports.fault import fault_fields, print_faults
from casync_cli.store_place import is_address

if TYPE_CHECKING:
    from casync.ops.upkeep.verify import VerifyReport

DETAILS = (
    "Without REF, reads and hashes everything in the store. Prints a line per damaged or missing "
    "object and manifest that needs it: fault, kind, id, manifest, names. Exit status 4 if there "
    "are faults."
)
EXAMPLES = ("casync verify", "casync verify vm/2024-06", "casync verify --quick --json")

_IN_A_FOLDER: Final = (
    "If there is none, `casync store reindex` drops damaged objects; then prepare the content "
    "again."
)
_IN_A_BUCKET: Final = (
    "If there is none, remove what needs them (`casync rm`, then `casync gc --window 0`); then "
    "prepare the content again."
)


def run(
    ctx: typer.Context,
    refs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REF", help="Only the objects of these.", autocompletion=complete_ref
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only check that no object is missing.")
    ] = False,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="P%", help="Read only this share of chunks, at random."),
    ] = None,
) -> int:
    """Runs the command."""
    invocation = invocation_of(ctx)
    invocation.output.outlive_reader()
    if quick and sample is not None:
        raise UsageError("--quick reads no chunks; drop --sample")
    percent = 100.0 if sample is None else parse_percent(sample)
    from casync.names.name import parse_ref
    from casync.ops.upkeep.verify import VerifyOptions, verify

    parsed = [parse_ref(ref) for ref in refs or ()]
    if any(ref.path is not None for ref in parsed):
        raise UsageError("verify takes whole manifests, without a path")
    options = VerifyOptions(quick=quick, sample=percent, seed=secrets.randbits(63))
    output = invocation.output
    with invocation.open_store(read_only=True) as store:
        with invocation.progress() as progress:
            # Find damaged B-tree pages by plain reads, before walking them through the memory map.
            store.check()
            chosen = [store.resolve(ref) for ref in parsed] if parsed else None
            report = verify(store, chosen, options, progress)
        if output.json_mode:
            _document(output, report)
        else:
            print_faults(output, report.faults, invocation.shown_ids(store))
    output.flush()
    output.say(
        f"{format_count(report.manifests, 'manifest')}, {format_count(report.nodes, 'node')}, "
        f"{format_count(report.objects, 'object')} read, "
        f"{format_size(report.length)} in {format_duration(report.seconds)}: "
        f"{format_count(len(report.faults), 'fault')}"
    )
    if report.faults:
        without = _IN_A_BUCKET if is_address(invocation.store) else _IN_A_FOLDER
        output.say(f"Run `casync repair` with a --server that has the objects. {without}")
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
