"""`casync name set`: points a name to a manifest, in the store or on a server."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from casync.errors import UsageError
from casync_cli.completion import complete_name, complete_ref
from casync_cli.invocation import invocation_of
from casync_cli.parsing.counts import parse_count
from casync_cli.parsing.signing_key import read_key
from casync_cli.parsing.times import parse_duration

DETAILS = (
    "Makes REF the next version of NAME; all of REF must be in the store. If NAME points to REF "
    "already, nothing changes. --expect detects concurrent changes. With --server, NAME and REF "
    "are on the server. --sign adds a signature, which `pull --trust` verifies."
)
EXAMPLES = (
    "casync name set vm/stable vm/nightly@12",
    "casync name set vm/stable vm/nightly --expect 3",
    "casync name set vm/stable vm/nightly@12 --sign release.pem --expires 30d --server URL",
)

_MOST_VERSIONS = 10**18 - 1


def run(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The name.", autocompletion=complete_name)
    ],
    ref: Annotated[
        str,
        typer.Argument(
            metavar="REF", help="The manifest to point to.", autocompletion=complete_ref
        ),
    ],
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect", metavar="N", help="Fail unless version N is the newest; 0 for a new name."
        ),
    ] = None,
    sign: Annotated[
        str | None,
        typer.Option("--sign", metavar="KEY", help="Sign with the private key in this file."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="Lifetime of the signature, such as 30d."),
    ] = None,
) -> None:
    """Runs the command."""
    from casync.names.name import parse_name
    from casync.names.name_update import NameUpdate
    from casync_cli.parsing.refs import parse_whole_ref

    invocation = invocation_of(ctx)
    output = invocation.output
    label, parsed = parse_name(name), parse_whole_ref(ref)
    if expires is not None and sign is None:
        raise UsageError("--expires needs a signature", next_step="Give a key with --sign.")
    expected = None if expect is None else parse_count(expect, "--expect", 0, _MOST_VERSIONS)
    key = None if sign is None else read_key(sign, invocation.warn_of)
    seconds = 0.0 if expires is None else parse_duration(expires)
    if expires is not None and not seconds:
        raise UsageError("--expires must be above 0")
    with invocation.tended() as place:
        manifest = parsed.manifest or place.resolve(parsed)
        if key is None:
            update = NameUpdate(label, manifest, expected)
        else:
            from casync.ops.trust import sign_next

            now = time.time()
            end = now + seconds if seconds else 0.0
            update = sign_next(key, label, manifest, place, now=now, expires=end)
            if expected is not None:
                update = update._replace(expected=expected)
        record = place.set_name(update)
        shown = invocation.shown_ids(place)(record.manifest)
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
        output.row(shown, f"{record.name}@{record.version}")
