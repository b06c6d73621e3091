"""`casync name log`: the versions of a name."""

from __future__ import annotations

from typing import Annotated

import typer

from casync.errors import NoNameError
from casync_cli.completion import complete_name
from casync_cli.invocation import invocation_of
from casync_cli.times import format_moment

DETAILS = "Columns: hash, time, name with its version; the oldest first."
EXAMPLES = ("casync name log vm/stable", "casync name log vm/stable --server URL")


def run(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The name.", autocompletion=complete_name)
    ],
) -> None:
    """Runs the command."""
    from casync.name import parse_name

    invocation = invocation_of(ctx)
    output = invocation.output
    label = parse_name(name)
    with invocation.source() as source:
        records = source.history(label)
    if not records:
        raise NoNameError(f"no name {label} here", next_step="`casync ls` lists the names.")
    if output.json_mode:
        versions = [
            {
                "version": record.version,
                "manifest": record.manifest.hex(),
                "created": format_moment(record.created),
            }
            for record in records
        ]
        output.document("casync.name-log/1", {"name": label, "versions": versions})
        return
    for record in records:
        moment = format_moment(record.created)
        output.row(record.manifest.hex(), moment, f"{record.name}@{record.version}")
