"""`casync push`: sends a server the missing objects of a manifest, and a name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import UsageError
from casync.jobs.address import redacted
from casync_cli.completion import complete_ref
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import DryRun, SignKey
from casync_cli.parsing.counts import parse_part
from casync_cli.parsing.signing_key import read_signer
from casync_cli.placing_damage import placing_damage
from casync_cli.reports.push import report_aborted, report_push, report_push_plan

if TYPE_CHECKING:
    from casync.names.name import Name, Ref
    from casync.remote.server.transport_options import TransportOptions

DETAILS = (
    "REF is a hash or a name in the local store. Sends the objects that the server lacks, and "
    "publishes REF when it is complete; a name is set to the same name there. The server keeps "
    "sent objects for a day, so an interrupted push resumes. Several hosts can each send a part; "
    "a push without --part then sends the rest and publishes it. --abort REF ends a push that is "
    "no longer wanted, --abort alone all open ones; what was published stays."
)
EXAMPLES = (
    "casync push vm/2024-06 --server http://10.0.0.1:8080",
    "casync push HASH --name vm/stable --server URL",
    "casync push vm/2024-06 --part 2/4 --server URL",
    "casync push --abort --dry-run --server URL",
)

_PUSH = re.compile(r"[0-9a-f]{32}", re.ASCII)


def run(
    ctx: typer.Context,
    ref: Annotated[
        str | None,
        typer.Argument(
            metavar="REF", help="A hash, a name, or NAME@N.", autocompletion=complete_ref
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The name to set on the server.")
    ] = None,
    sign: SignKey = None,
    part: Annotated[
        str | None,
        typer.Option("--part", metavar="K/N", help="Send only part K of N, and no name."),
    ] = None,
    abort: Annotated[
        bool, typer.Option("--abort", help="End the push REF, or all of the server.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Runs the command."""
    if abort:
        if name or sign or part:
            raise UsageError("--abort takes no --name, --sign or --part")
        _abort(invocation_of(ctx), ref, dry_run=dry_run)
        return
    if ref is None:
        raise UsageError("push needs a REF", next_step="See casync push --help.")
    from casync.ops.push.push import PushOptions
    from casync.ops.push.reachable import ALL, Part
    from casync_cli.parsing.refs import parse_whole_ref

    invocation = invocation_of(ctx)
    server = _server(invocation)
    parsed = parse_whole_ref(ref)
    share = ALL if part is None else Part(*parse_part(part))
    if part is not None and name is not None:
        raise UsageError(
            "--part sets no name", next_step="Push with --name, without --part, after all parts."
        )
    label = None if part is not None else _name(parsed, name)
    signer = None if sign is None else read_signer(sign, invocation.warn_of)
    if signer is not None and label is None:
        raise UsageError("--sign signs a name", next_step="Give one with --name.")
    options = PushOptions(name=label, signer=signer, part=share, connections=invocation.connections)
    transport = _transport(invocation, server)
    from casync import api

    with invocation.open_store(read_only=True) as store:
        again = "Run the same command again; it sends only the rest."
        invocation.resume = again

        def begun(push: str) -> None:
            invocation.resume = (
                f"{again} Or give it up: casync push --abort {push} --server {redacted(server)}"
            )

        options = replace(options, begun=begun)
        with invocation.progress() as progress, placing_damage(f"store {store.place}"):
            pushed = api.push(
                parsed,
                server,
                store=store,
                transport=transport,
                options=options,
                dry_run=dry_run,
                progress=progress,
            )
        show = invocation.shown_ids(store, is_local=True)
        if dry_run:
            report_push_plan(invocation.output, pushed)
        else:
            report_push(invocation.output, pushed, show)


def _abort(invocation: Invocation, push: str | None, *, dry_run: bool) -> None:
    """Ends one push, whose id is a secret of its owner, or all: only administrators see them."""
    from casync.ops.push.abort import abort_all
    from casync.remote.server.write_client import WritingClient

    if push is not None and (not _PUSH.fullmatch(push) or dry_run):
        raise UsageError(
            "--abort takes the id of a push, without --dry-run",
            next_step="Without an id, it ends all open pushes of the server.",
        )
    server = _server(invocation)
    with WritingClient(server, _transport(invocation, server)) as client:
        if push is None:
            ended = [(each.id.hex(), each.heard) for each in abort_all(client, dry_run=dry_run)]
            report_aborted(invocation.output, ended, dry_run=dry_run)
            return
        client.end_push(push)
    report_aborted(invocation.output, [(push, None)], dry_run=False)


def _transport(invocation: Invocation, server: str) -> TransportOptions:
    """Options of the connection; warns if it is not authenticated."""
    transport = invocation.transport([server])
    if transport.insecure:
        invocation.output.say(
            "warning: certificates are not checked; any machine can pose as a server"
        )
    return transport


def _server(invocation: Invocation) -> str:
    """The server on the command line, or the first configured one."""
    given = invocation.remote.server
    if len(given) > 1:
        raise UsageError("push takes one server; give --server once")
    servers = invocation.servers
    if not servers:
        raise UsageError("push needs a server", next_step="Name it with --server URL.")
    return servers[0]


def _name(ref: Ref, name: str | None) -> Name | None:
    """The name to set: `name`, or the name in `ref` if it has no version."""
    from casync.names.name import parse_name

    if name is not None:
        return parse_name(name)
    return None if ref.version else ref.name
