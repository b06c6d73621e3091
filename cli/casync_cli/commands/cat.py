"""`casync cat`: writes content, or a part of it, to stdout."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from casync.errors import UsageError
from casync_cli.completion import complete_ref
from casync_cli.invocation import invocation_of
from casync_cli.parsing.sizes import parse_size
from casync_cli.terminal_text import text_only

DETAILS = (
    "Each chunk is verified before it is written. A part beyond the end is empty. PATH is a file "
    "in the folder REF, or a member of an archive. From a server, only the chunks of the part are "
    "fetched. A terminal gets text only."
)
EXAMPLES = (
    "casync cat vm/2024-06 | sha256sum",
    "casync cat HASH --offset 1M --length 512 | xxd",
    "casync cat www:css/site.css",
    "casync cat shards/0001.tar:n01440764/18.cls",
    "casync cat vm/2024-06 --server URL --length 440 > boot.bin",
)


def run(
    ctx: typer.Context,
    ref: Annotated[
        str,
        typer.Argument(
            metavar="REF[:PATH]",
            help="A hash, its prefix in a local store, or a name.",
            autocompletion=complete_ref,
        ),
    ],
    offset: Annotated[
        str | None,
        typer.Option("--offset", metavar="N", help="Skip this many bytes.  [default: 0]"),
    ] = None,
    length: Annotated[
        str | None,
        typer.Option(
            "--length", metavar="N", help="Write at most this many bytes.  [default: all]"
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="Write binary data even to a terminal.")
    ] = False,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    if invocation.common.json:
        raise UsageError(
            "cat cannot write JSON", next_step="`casync show --json` describes content."
        )
    start = parse_size(offset) if offset else 0
    count = parse_size(length) if length else None
    from casync.access.locate import open_file
    from casync.names.name import parse_ref

    parsed = parse_ref(ref)
    stdout = invocation.output.binary
    with invocation.source(keeps_indexes=bool(parsed.path)) as source:
        with invocation.progress() as progress:
            content = open_file(parsed, source, progress=progress)
        end = content.length if count is None else min(start + count, content.length)
        pieces = content.read(min(start, end), end)
        if invocation.output.to_terminal and not force:
            step = (
                f"Write it to a file with `casync pull {shlex.quote(ref)} -o FILE`, pipe it into a "
                "program, or give -f."
            )
            pieces = text_only(pieces, ref, step)
        for piece in pieces:
            stdout.write(piece)
