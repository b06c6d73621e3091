"""`casync name log`: lists the versions of a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import NoNameError, UntrustedError
from casync_cli.columns import Column, hashes, moments
from casync_cli.completion import complete_name
from casync_cli.invocation import invocation_of
from casync_cli.parsing.times import format_moment

if TYPE_CHECKING:
    from casync.names.name import NameRecord

DETAILS = (
    "Columns: hash, time, name with version, signing key; oldest first. Signatures are verified, "
    "but any key is accepted: `pull --trust` checks whose key it is."
)
EXAMPLES = ("casync name log vm/stable", "casync name log vm/stable --server URL")


def run(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The name.", autocompletion=complete_name)
    ],
) -> None:
    """Runs the command."""
    from casync.names.name import parse_name

    invocation = invocation_of(ctx)
    output = invocation.output
    label = parse_name(name)
    with invocation.source() as source:
        records = source.history(label)
        show = invocation.shown_ids(source)
        shown = [show(record.manifest) for record in records]
    if not records:
        raise NoNameError(f"no name {label} here", next_step="`casync ls` lists the names.")
    if output.json_mode:
        versions = [
            {
                "version": record.version,
                "manifest": record.manifest.hex(),
                "created": format_moment(record.created),
                "signer": _signer(record),
            }
            for record in records
        ]
        output.document("casync.name-log/1", {"name": label, "versions": versions})
        return
    listing = output.listing(hashes("hash"), moments("time"), Column("name"), Column("key"))
    for record, ident in zip(records, shown, strict=True):
        version = f"{record.name}@{record.version}"
        listing.row(ident, format_moment(record.created), version, _signer(record))


def _signer(record: NameRecord) -> str | None:
    """The key that signed a version, or `invalid`; None without a signature."""
    if not record.signed:
        return None
    from casync.names.signing import format_key
    from casync.ops.trust import signer_of

    try:
        key = signer_of(record)
    except UntrustedError:
        return "invalid"
    return None if key is None else format_key(key)
