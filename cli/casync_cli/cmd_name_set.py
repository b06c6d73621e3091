"""`casync name set`: points a name to a manifest of the store, or of a server."""

from __future__ import annotations

from typing import Annotated

import typer

from casync_cli.completion import complete_name, complete_ref
from casync_cli.counts import parse_count
from casync_cli.invocation import invocation_of

DETAILS = (
    "The next version of NAME points to REF, all of which must be in the store. A name that "
    "points there already stays as it is. With --expect, somebody who was faster is noticed. "
    "With --server all of that is on the server."
)
EXAMPLES = (
    "casync name set vm/stable vm/nightly@12",
    "casync name set vm/stable vm/nightly --expect 3",
    "casync name set vm/stable vm/nightly@12 --server URL",
)

_MOST_VERSIONS = 10**18 - 1


def run(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The name.", autocompletion=complete_name)
    ],
    ref: Annotated[
        str,
        typer.Argument(metavar="REF", help="What it shall point to.", autocompletion=complete_ref),
    ],
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect", metavar="N", help="Refuse unless version N is the newest; 0 for none."
        ),
    ] = None,
) -> None:
    """Runs the command."""
    from casync.name import parse_name
    from casync_cli.whole_ref import parse_whole_ref

    invocation = invocation_of(ctx)
    output = invocation.output
    label, parsed = parse_name(name), parse_whole_ref(ref)
    expected = None if expect is None else parse_count(expect, "--expect", 0, _MOST_VERSIONS)
    with invocation.tended() as place:
        manifest = parsed.manifest or place.resolve(parsed)
        record = place.set_name(label, manifest, expected)
    if output.json_mode:
        output.document(
            "casync.name-set/1",
            {
                "name": record.name,
                "version": record.version,
                "manifest": record.manifest.hex(),
            },
        )
    else:
        output.row(record.manifest.hex(), f"{record.name}@{record.version}")
