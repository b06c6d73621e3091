"""`casync archive get`: writes a member of an archive."""

from __future__ import annotations

from typing import Annotated

import typer

from casync.errors import UsageError
from casync_cli.completion import complete_ref
from casync_cli.invocation import invocation_of

DETAILS = (
    "Reads only what the member needs, also from a server. A file is replaced when all of the "
    "member is there. Without -o it goes to a file with the name of the member."
)
EXAMPLES = (
    "casync archive get shards/0001.tar:train/7.jpg",
    "casync archive get shards/0001.tar:train/7.cls -o -",
    "casync archive get www:backup/site.zip/css/site.css -o old.css --server URL",
)


def run(
    ctx: typer.Context,
    ref: Annotated[
        str,
        typer.Argument(
            metavar="REF:MEMBER", help="A member of an archive.", autocompletion=complete_ref
        ),
    ],
    out: Annotated[
        str | None, typer.Option("-o", metavar="FILE", help="Where to write it; - for stdout.")
    ] = None,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    from casync.access.locate import open_file
    from casync.names.name import parse_ref
    from casync.ops.archive.get_member import write_readable
    from casync_cli.parsing.paths import parse_path

    parsed = parse_ref(ref)
    if not parsed.path:
        raise UsageError(
            f"{ref} names no member", next_step=f"`casync archive ls {ref}` lists them."
        )
    place = out if out is not None else parsed.path.rstrip("/").rpartition("/")[2]
    with invocation.source(keeps_indexes=True) as source, invocation.progress() as progress:
        content = open_file(parsed, source)
        if place == "-":
            write_readable(content, invocation.output.binary, progress)
        else:
            write_readable(content, parse_path(place, "-o"), progress)
