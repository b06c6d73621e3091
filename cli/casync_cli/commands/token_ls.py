"""`casync token ls`: lists the tokens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import typer

from casync_cli.columns import Column
from casync_cli.invocation import invocation_of
from casync_cli.parsing.times import format_moment
from casync_cli.store_place import folder_of

if TYPE_CHECKING:
    from casync.names.token import TokenRow

DETAILS = (
    "Columns: id, scope, state (good, expired, revoked), creation, expiry, patterns of names, "
    "note, namespace. The store does not hold the tokens themselves."
)
EXAMPLES = ("casync token ls", "casync token ls --json")

_DAY: Final = len("2026-11-30")
_MINUTE: Final = len("2026-11-30T02:55")
"""Characters of a time on a terminal, where the other columns need room."""


def run(ctx: typer.Context) -> None:
    """Runs the command."""
    from casync.store.lmdb.namespaces import DEFAULT

    invocation = invocation_of(ctx)
    output = invocation.output
    folder_of(invocation.store, "Name the folder that `casync serve` has as --tokens.")
    with invocation.open_store(read_only=True) as store:
        known = store.tokens.known()
    rows = sorted(known.rows.values(), key=lambda row: (row.created, row.id))
    if output.json_mode:
        tokens = [
            {
                "id": row.id,
                "scope": row.scope.name.lower(),
                "state": _state(row),
                "created": format_moment(row.created),
                "expires": format_moment(row.expires) if row.expires else None,
                "names": list(row.names),
                "note": row.note,
                "namespace": row.namespace or DEFAULT,
            }
            for row in rows
        ]
        output.document("casync.token-ls/1", {"required": known.required, "tokens": tokens})
        return
    day, minute = (_DAY, _MINUTE) if output.to_terminal else (None, None)
    listing = output.listing(
        Column("id", 8),
        Column("scope", 5),
        Column("state", 7),
        Column("created", _DAY),
        Column("expires", _MINUTE),
        Column("names", 5),
        Column("note", 4),
        Column("namespace"),
    )
    for row in rows:
        listing.row(
            row.id,
            row.scope.name.lower(),
            _state(row),
            format_moment(row.created)[:day],
            format_moment(row.expires)[:minute] if row.expires else None,
            " ".join(row.names),
            row.note,
            row.namespace or DEFAULT,
        )


def _state(row: TokenRow) -> str:
    if row.revoked:
        return "revoked"
    return "good" if row.lives(time.time()) else "expired"
