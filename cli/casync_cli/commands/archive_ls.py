"""`casync archive ls`: lists the members of an archive."""

from __future__ import annotations

from typing import Annotated

import typer

from casync.sizes import format_count
from casync_cli.completion import complete_ref
from casync_cli.invocation import invocation_of
from casync_cli.options import Mime, Prefix, Regex, Substr, Suffix, WdsKey
from casync_cli.parsing.selections import parse_selection

DETAILS = (
    "REF is a tar, tgz, zip or MessagePack file, or REF:PATH one in a folder; or a folder in an "
    "archive: then what is below it is listed, with whole paths. Columns: path; with --long mode, "
    "length, time, path, link target. Members are ordered by path. When several have the same "
    "path, the last one counts, and --all lists the others as well. --wdskey selects the members "
    "of one WebDataset sample: those whose path is KEY up to the first dot of the name."
)
EXAMPLES = (
    "casync archive ls shards/0001.tar",
    "casync archive ls shards/0001.tar:train --long",
    "casync archive ls www:backup/site.zip --suffix .css",
    "casync archive ls shards/0001.tar --wdskey n01440764_18 --server URL",
)


def run(
    ctx: typer.Context,
    ref: Annotated[
        str,
        typer.Argument(
            metavar="REF[:PATH]",
            help="An archive, or a folder in one.",
            autocompletion=complete_ref,
        ),
    ],
    long: Annotated[
        bool, typer.Option("-l", "--long", help="Show modes, lengths, times and link targets.")
    ] = False,
    prefix: Prefix = None,
    suffix: Suffix = None,
    substr: Substr = None,
    regex: Regex = None,
    wdskey: WdsKey = None,
    mime: Mime = None,
    shadowed: Annotated[
        bool, typer.Option("--all", help="Also list members that a later one hides.")
    ] = False,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    selection = parse_selection(prefix, suffix, substr, regex, wdskey, shadowed=shadowed)
    from casync.archives.detect import check_type
    from casync.names.name import parse_ref
    from casync.ops.archive.list_members import members_at
    from casync_cli.reports.members import report_members

    with invocation.source(keeps_indexes=True) as source:
        with invocation.progress() as progress:
            archive, members = members_at(parse_ref(ref), source, selection, progress)
        if mime is not None:
            check_type(archive.kind, mime)
        report_members(invocation.output, archive, members, long=long, shadowed=shadowed)
        if refused := archive.index.refused.number:
            invocation.output.flush()
            invocation.output.say(
                f"warning: {format_count(refused, 'member')} left out: their paths point outside"
                " the archive, or are too long"
            )
