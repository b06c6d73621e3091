"""`casync token new`: lets somebody in."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer

from casync.errors import UsageError
from casync_cli.invocation import invocation_of
from casync_cli.parsing.sizes import parse_size
from casync_cli.parsing.times import parse_duration

DETAILS = (
    "The token is printed once, or written to FILE, which must not exist and which only you can "
    "read; it is never shown again, and the store keeps a hash of it. The first one makes every "
    "server of the store ask for tokens, for good. Scopes: read; write, which also pushes and sets "
    "names; admin, which also removes and restores. A token sees one namespace: the store itself, "
    "or with --namespace a store of its own that shares nothing with others, in namespaces/NAME "
    "below this one; use that with --store to tend it. --quota bounds what the namespace may hold, "
    "for everybody and until it is given again; 0 for no bound."
)
EXAMPLES = (
    "casync token new ~/.config/casync/token",
    "casync token new --scope write --names 'builds/' --expires 90d --note ci",
    "casync token new --scope write --namespace acme --quota 50G",
)

_LONGEST_NOTE: Final = 500


def run(
    ctx: typer.Context,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="Write the token there.")
    ] = None,
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPE", help="read, write or admin.")
    ] = "read",
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--names", metavar="PATTERN", help="Only names like this; may be given again."
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="Good for so long.")
    ] = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What it is for.")] = "",
    namespace: Annotated[
        str,
        typer.Option("--namespace", metavar="NAME", help="Sees this one."),
    ] = "default",
    quota: Annotated[
        str | None,
        typer.Option("--quota", metavar="SIZE", help="The namespace may hold so much."),
    ] = None,
) -> None:
    """Runs the command."""
    from casync.fs.secret import new_secret
    from casync.names.token import TokenScope
    from casync.store.lmdb.namespaces import establish, parse_namespace

    invocation = invocation_of(ctx)
    output = invocation.output
    if scope.upper() not in TokenScope.__members__:
        raise UsageError(f"--scope takes read, write or admin, not {scope}")
    level = TokenScope[scope.upper()]
    if level is TokenScope.ADMIN and names:
        raise UsageError("an admin sees all names; --names is for read and write")
    if len(note) > _LONGEST_NOTE:
        raise UsageError(f"a note has at most {_LONGEST_NOTE} characters")
    ends = 0 if expires is None else int(time.time() + parse_duration(expires))
    place = parse_namespace(namespace)
    limit = None if quota is None else parse_size(quota)
    with ExitStack() as stack:
        store = stack.enter_context(invocation.open_store())
        secret = None if file is None else stack.enter_context(new_secret(Path(file)))
        establish(store, place, quota=limit)
        first = not store.tokens.known().required
        token, row = store.tokens.issue(
            level, names or (), expires=ends, note=note, namespace=place
        )
        if secret is not None:
            secret.write(f"{token}\n".encode())
    if output.json_mode:
        output.document(
            "casync.token-new/1",
            {
                "token": token if file is None else None,
                "file": file,
                "id": row.id,
                "expires": row.expires,
            },
        )
    else:
        output.row(token if file is None else row.id)
    output.flush()
    if first:
        output.say("servers of this store ask for a token from now on")
