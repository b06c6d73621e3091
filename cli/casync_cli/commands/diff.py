"""`casync diff`: the differences between two manifests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, cast

import typer

from casync_cli.columns import Cell, Column, sizes
from casync_cli.completion import complete_ref
from casync_cli.exit_codes import FAILURE
from casync_cli.invocation import invocation_of

if TYPE_CHECKING:
    from casync.objects.tree import Entry
    from casync.ops.inspect.diff import Change

DETAILS = (
    "For folders, prints a line per path that was added, removed or changed: change, old and new "
    "length, path, and what changed. For files, prints the ranges that differ: first byte and end"
    " (exclusive), rounded to chunks. No chunks are read."
)
EXAMPLES = (
    "casync diff www@1 www@2",
    "casync diff www@1:css www:css --exit-code",
    "casync diff vm/2024-05 vm/2024-06 --server URL",
)


def run(
    ctx: typer.Context,
    old: Annotated[
        str,
        typer.Argument(metavar="OLD", help="REF or REF:PATH.", autocompletion=complete_ref),
    ],
    new: Annotated[
        str,
        typer.Argument(metavar="NEW", help="REF or REF:PATH.", autocompletion=complete_ref),
    ],
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with status 1 if anything differs.")
    ] = False,
) -> int:
    """Runs the command."""
    invocation = invocation_of(ctx)
    output = invocation.output
    if exit_code:
        output.outlive_reader()
    changes: list[dict[str, object]] = []
    ranges: list[dict[str, int]] = []
    found = 0
    from casync import api
    from casync.ops.inspect.diff import Change

    listing = output.listing(
        Column("change", 7), sizes("old"), sizes("new"), Column("path", 16), Column("differs")
    )
    of_bytes = output.listing(Column("from", 12, right=True), Column("to", 12, right=True))
    with invocation.source() as source:
        for each in api.diff(old, new, source):
            found += 1
            if isinstance(each, Change):
                fields = _fields(each)
                if output.json_mode:
                    changes.append(fields)
                else:
                    listing.row(*_columns(fields))
            elif output.json_mode:
                ranges.append({"start": each[0], "end": each[1]})
            else:
                of_bytes.row(*each)
    if output.json_mode:
        output.document(
            "casync.diff/1", {"old": old, "new": new, "changes": changes, "ranges": ranges}
        )
    return FAILURE if found and exit_code else 0


def _fields(change: Change) -> dict[str, object]:
    happened = "changed"
    if change.old is None or change.new is None:
        happened = "added" if change.old is None else "removed"
    return {
        "change": happened,
        "path": os.fsdecode(change.path),
        "old_length": _length(change.old),
        "new_length": _length(change.new),
        "what": change.what,
    }


def _columns(fields: dict[str, object]) -> list[Cell]:
    what = fields["what"]
    assert isinstance(what, list)
    lengths = cast("list[int | None]", [fields["old_length"], fields["new_length"]])
    return [str(fields["change"]), *lengths, str(fields["path"]) or ".", " ".join(what)]


def _length(entry: Entry | None) -> int | None:
    """Bytes of a file; None for anything else."""
    from casync.objects.tree import File

    return entry.content.length if isinstance(entry, File) else None
