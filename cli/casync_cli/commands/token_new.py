"""`casync token new`: creates a token for servers of the store."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from casync.errors import UsageError, WriteError
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import AllowNetworkFs, Create
from casync_cli.parsing.paths import parse_path
from casync_cli.parsing.sizes import parse_size
from casync_cli.parsing.times import parse_duration
from casync_cli.store_place import bucket_home, folder_of, is_address
from casync_cli.streams import ClosedPipeError

if TYPE_CHECKING:
    from casync.names.token import TokenRow
    from casync_cli.output import Output

DETAILS = (
    "Prints the token once, or writes it to FILE, which must not exist and gets mode 0600; the "
    "store keeps only a hash. From the first token on, all servers of the store require tokens. "
    "Scopes: read; write, to push and set names; jobs, to run downloads on a server with --jobs as "
    "well; admin, to remove and restore, too. A token works in "
    "one namespace: the store itself, or with --namespace a separate store in namespaces/NAME "
    "below it, which shares nothing; manage that with --store. --quota limits the size of the "
    "namespace until it is set again; 0 means no limit. For a bucket, --tokens names the store of "
    "this machine that keeps the token, and a namespace is in namespaces/NAME of the bucket."
)
EXAMPLES = (
    "casync token new ~/.config/casync/token",
    "casync token new --scope write --names 'builds/' --expires 90d --note ci",
    "casync token new --scope write --namespace acme --quota 50G",
    "casync token new --namespace acme --store s3://bucket/casync --tokens /var/lib/casync/tokens",
)

_LONGEST_NOTE: Final = 500


def run(
    ctx: typer.Context,
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="The file to write.")] = None,
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPE", help="read, write, jobs or admin.")
    ] = "read",
    names: Annotated[
        list[str] | None,
        typer.Option("--names", metavar="PATTERN", help="Only names that match; repeatable."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="Lifetime, such as 90d.  [default: no end]"),
    ] = None,
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", help="A note for `token ls`.")
    ] = "",
    namespace: Annotated[
        str,
        typer.Option("--namespace", metavar="NAME", help="The namespace of the token."),
    ] = "default",
    quota: Annotated[
        str | None,
        typer.Option("--quota", metavar="SIZE", help="Limit the size of the namespace."),
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            "--tokens", metavar="DIR", help="The store of tokens, if --store is a bucket."
        ),
    ] = None,
    create: Create = False,
    allow_network_fs: AllowNetworkFs = False,
) -> None:
    """Runs the command."""
    from casync.fs.secret import new_secret
    from casync.names.token import TokenScope
    from casync.store.lmdb.namespaces import establish, parse_namespace
    from casync.store.lmdb.store import LmdbStore

    invocation = invocation_of(ctx)
    output = invocation.output
    if scope.upper() not in TokenScope.__members__:
        raise UsageError(f"--scope takes read, write, jobs or admin, not {scope}")
    level = TokenScope[scope.upper()]
    if level > TokenScope.WRITE and names:
        raise UsageError("--names works only with the scopes read and write")
    if len(note) > _LONGEST_NOTE:
        raise UsageError(f"the note is longer than {_LONGEST_NOTE} characters")
    ends = 0 if expires is None else int(time.time() + parse_duration(expires))
    place = parse_namespace(namespace)
    limit = None if quota is None else parse_size(quota)
    folder = _folder(invocation, tokens)
    with ExitStack() as stack:
        store = stack.enter_context(
            LmdbStore.open(folder, create=create, allow_network_fs=allow_network_fs)
        )
        invocation.warn_of(store.warnings)
        secret = None if file is None else stack.enter_context(new_secret(parse_path(file, "FILE")))
        if is_address(invocation.store):
            _establish(invocation, place, limit, create=create)
        else:
            establish(store, place, quota=limit)
        first = not store.tokens.known().required

        def show(token: str, row: TokenRow) -> None:
            if secret is not None:
                secret.write(f"{token}\n".encode())
                secret.flush()
            _print(output, token, file, row)

        store.tokens.issue(level, names or (), expires=ends, note=note, namespace=place, show=show)
    if first:
        output.say("servers of this store require a token from now on")


def _folder(invocation: Invocation, tokens: str | None) -> Path:
    """The folder of the store that keeps the token.

    Raises:
        UsageError: --store and --tokens do not fit.
    """
    if tokens is None:
        step = "Give --tokens DIR, as to `casync serve`: a bucket holds no tokens."
        return folder_of(invocation.store, step)
    if not is_address(invocation.store):
        raise UsageError(
            "--tokens is for stores in buckets",
            next_step="Tokens of a store in a folder are in it: leave --tokens out.",
        )
    return parse_path(tokens, "--tokens")


def _establish(invocation: Invocation, namespace: str, quota: int | None, *, create: bool) -> None:
    """As `establish`, for a store in a bucket, which is made first with `create`."""
    if not namespace and quota is None and not create:
        return
    from casync.bucket_stores import make_namespace, open_bucket_store

    address, home, options = invocation.store, bucket_home(), invocation.source_options()
    if create:
        open_bucket_store(address, home, create=True, options=options).close()
    opened = (
        make_namespace(address, namespace, home, options)
        if namespace
        else open_bucket_store(address, home, options=options)
    )
    with opened as store:
        if quota is not None:
            store.set_quota(quota)


def _print(output: Output, token: str, file: str | None, row: TokenRow) -> None:
    """Prints a token, or its id if the token is in `file`.

    Raises:
        WriteError: It cannot be written, or the reader is gone.
    """
    try:
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
    except WriteError as error:
        raise WriteError(f"{error.message}; no token was made") from error
    except ClosedPipeError as error:
        raise WriteError("stdout was closed; no token was made") from error
