"""`casync check`: compares a file or folder on disk with a manifest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from casync.sizes import format_count, format_size
from casync_cli.columns import Column
from casync_cli.completion import complete_ref
from casync_cli.exit_codes import DAMAGED
from casync_cli.invocation import invocation_of
from casync_cli.parsing.times import format_duration

DETAILS = (
    "Reads all of PLACE and prints a line per difference: what differs, and its path. In a "
    "folder, content, types, links, modes without setuid and setgid, times and user attributes "
    "are compared, and extra entries are reported. Exit status 4 if anything differs."
)
EXAMPLES = (
    "casync check vm/2024-06 vm.img",
    "casync check www /srv/www",
    "casync check HASH:css /srv/www/css --server URL",
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
    place: Annotated[str, typer.Argument(metavar="PLACE", help="The file or folder on disk.")],
) -> int:
    """Runs the command."""
    invocation = invocation_of(ctx)
    invocation.output.outlive_reader()
    output = invocation.output
    differences: list[dict[str, object]] = []

    listing = output.listing(Column("differs", 10), Column("path"))

    def tell(path: bytes, wrong: list[str]) -> None:
        if output.json_mode:
            differences.append({"path": os.fsdecode(path), "wrong": wrong})
        else:
            listing.row(" ".join(wrong), os.fsdecode(path) or ".")

    from casync import api

    with invocation.source() as source, invocation.progress() as progress:
        checked = api.check(ref, Path(place), source, tell, progress)
    if output.json_mode:
        output.document(
            "casync.check/1",
            {
                "manifest": checked.manifest.hex(),
                "place": place,
                "ok": {"files": checked.ok_files, "bytes": checked.ok_bytes},
                "errors": {"files": checked.wrong_files, "bytes": checked.wrong_bytes},
                "differences": differences,
                "seconds": round(checked.seconds, 3),
            },
        )
    output.flush()
    output.say(
        f"{place}: {format_count(checked.ok_files, 'file')} ok ({format_size(checked.ok_bytes)}), "
        f"{checked.wrong_files} wrong ({format_size(checked.wrong_bytes)}), "
        f"{format_count(checked.differences, 'difference')}, in {format_duration(checked.seconds)}"
    )
    return DAMAGED if checked.differences else 0
