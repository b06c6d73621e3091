"""`casync pull`: rebuilds a file or folder, and fetches only what is missing."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, TypeAlias

import typer

from casync.errors import CasyncError, NoStoreError, UsageError
from casync_cli.completion import complete_ref
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import AllowNetworkFs, DryRun, ExpectDigest
from casync_cli.parsing.counts import parse_count, parse_sha256
from casync_cli.parsing.paths import parse_path
from casync_cli.reports.folder import report_folder
from casync_cli.reports.pull import report_plan, report_pull
from casync_cli.trust import trusted

if TYPE_CHECKING:
    from casync.ops.pull.wanted import PullOptions
    from casync.ops.pull_folder.plan import FolderOptions
    from casync.store.lmdb.store import LmdbStore

_MAX_DELETE = 2**63 - 1

_Delta: TypeAlias = Literal["auto", "always", "never"]

DETAILS = (
    "REF is a hash or a name; the first server resolves names. Chunks in the target, in files "
    "that were prepared or pulled before, in seeds or in the store are not fetched. Every byte is"
    " verified, so servers need not be trusted. A file is replaced atomically, and an interrupted"
    " pull resumes. Without -o, everything goes to the store. A folder is written with modes, "
    "times, links and user attributes; only files that differ are written."
)
EXAMPLES = (
    "casync pull vm/2024-06 -o vm.img --server http://10.0.0.1:8080",
    "casync pull HASH -o new.img --seed old.img --server URL --dry-run",
    "casync pull vm/2024-06 -o /dev/vg0/vm --in-place --server URL",
    "casync pull www:css -o /srv/www/css --delete --max-delete 10 --server URL",
)


def run(
    ctx: typer.Context,
    ref: Annotated[
        str,
        typer.Argument(
            metavar="REF[:PATH]", help="A hash, a name, or NAME@N.", autocompletion=complete_ref
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option("-o", metavar="OUT", help="The file or folder to write; - for stdout."),
    ] = None,
    seed: Annotated[
        list[str] | None,
        typer.Option("--seed", metavar="PATH", help="A file to take chunks from; repeatable."),
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Overwrite OUT where it differs; needs no space.")
    ] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Also keep all chunks in the store, to serve them.")
    ] = False,
    delta: Annotated[
        _Delta,
        typer.Option(
            "--delta",
            metavar="WHEN",
            help="When to request deltas: auto (on slow links), always or never.",
        ),
    ] = "auto",
    expect: ExpectDigest = None,
    reread: Annotated[
        bool,
        typer.Option("--reread", help="Also read what stays in an OUT that seems unchanged."),
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove entries of folder OUT that are not in REF.")
    ] = False,
    max_delete: Annotated[
        str | None,
        typer.Option(
            "--max-delete", metavar="N", help="Fail if more than N entries would be removed."
        ),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Restore owners, setuid, devices, ACLs and all attributes."),
    ] = False,
    trust: Annotated[
        list[str] | None,
        typer.Option(
            "--trust", metavar="KEY", help="Accept only names signed by this key; repeatable."
        ),
    ] = None,
    allow_rollback: Annotated[
        bool, typer.Option("--allow-rollback", help="Accept older versions than seen before.")
    ] = False,
    dry_run: DryRun = False,
    allow_network_fs: AllowNetworkFs = False,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    target = _target(invocation, out, in_place=in_place, dry_run=dry_run)
    options = _options(invocation, seed or [], in_place, cache, expect, delta, reread)
    folder_options = _folder_options(delete, max_delete, exact)
    servers = invocation.servers
    transport = invocation.transport(servers)
    if transport.insecure:
        invocation.output.say(
            "warning: certificates are not checked; any machine can pose as a server"
        )
    from casync import api
    from casync.cutting.process_memory import keep_freed_memory
    from casync.names.name import parse_ref
    from casync.ops.pull.file import Pulled
    from casync.ops.pull_folder.pull import FolderPulled

    keep_freed_memory()
    wanted = parse_ref(ref)
    wanted = trusted(invocation, wanted, trust or [], allow_rollback, dry_run=dry_run)
    store = _store(
        invocation, required=out is None or cache, dry_run=dry_run, network=allow_network_fs
    )
    if not dry_run:
        invocation.resume = "Run the same command again; it fetches only the rest."
    act = api.forecast if dry_run else api.pull
    try:
        pointing = nullcontext() if servers else invocation.pointing_to_servers()
        with invocation.progress() as progress, pointing:
            done = act(
                wanted,
                target,
                store=store,
                servers=servers,
                transport=transport,
                options=options,
                folder_options=folder_options,
                progress=progress,
            )
    finally:
        if store is not None:
            store.close()
    if isinstance(done, Pulled):
        report_pull(invocation.output, done, out)
    elif isinstance(done, FolderPulled):
        report_folder(invocation.output, done, str(out))
    else:
        report_plan(invocation.output, done)


def _target(
    invocation: Invocation, out: str | None, *, in_place: bool, dry_run: bool
) -> Path | BinaryIO | None:
    if in_place and out in (None, "-"):
        raise UsageError("--in-place overwrites a file", next_step="Name it with -o OUT.")
    if out != "-":
        return None if out is None else parse_path(out, "-o")
    output = invocation.output
    if not dry_run:
        if output.to_terminal:
            raise UsageError(
                "refusing to write content to a terminal",
                next_step="Name a file with -o OUT.",
            )
        if output.json_mode:
            raise UsageError("--json and -o - cannot share stdout")
    return output.binary


def _options(
    invocation: Invocation,
    seeds: list[str],
    in_place: bool,
    cache: bool,
    expect: str | None,
    delta: _Delta,
    reread: bool,
) -> PullOptions:
    from casync.ops.pull.wanted import PullOptions

    return PullOptions(
        seeds=tuple(parse_path(seed, "--seed") for seed in seeds),
        in_place=in_place,
        cache=cache,
        expect_sha256=None if expect is None else parse_sha256(expect),
        delta=delta,
        connections=invocation.connections,
        reread=reread,
    )


def _folder_options(delete: bool, max_delete: str | None, exact: bool) -> FolderOptions:
    from casync.ops.pull_folder.plan import FolderOptions

    if max_delete is not None and not delete:
        raise UsageError("--max-delete needs --delete")
    most = None if max_delete is None else parse_count(max_delete, "--max-delete", 0, _MAX_DELETE)
    return FolderOptions(exact=exact, delete=delete, max_delete=most)


def _store(
    invocation: Invocation, *, required: bool, dry_run: bool, network: bool
) -> LmdbStore | None:
    """The local store, created if missing. A pull to a file works without one."""
    try:
        if not dry_run:
            try:
                return invocation.open_store(create=True, allow_network_fs=network)
            except CasyncError as error:
                if required:
                    raise
                invocation.output.say(f"warning: nothing is kept in the store: {error.message}")
        return invocation.open_store(read_only=True)
    except NoStoreError:
        return None
