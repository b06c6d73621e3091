"""`casync get`: fetches one object of a web server or a bucket through the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from casync.errors import UsageError
from casync.sizes import format_size
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import AllowNetworkFs
from casync_cli.parsing.paths import parse_path
from casync_cli.served_get import ServedObject, get_on_server

if TYPE_CHECKING:
    from casync.ops.prepare.prepared import Prepared

DETAILS = (
    "URL is an object of a web server, a bucket, HDFS, AIStore or another casync: http(s)://…, "
    "s3://…, gs://…, az://…, hdfs://…, webhdfs://…, ais://…, casync://HOST/NAME. It goes into the "
    "store, and from there to FILE. A known object is compared by its ETag or time, and not "
    "fetched again while it is unchanged. Without -o, its hash is printed. With --server the "
    "server fetches it, under the name of --name. --limit is for casync servers; "
    "`casync download` limits other sources, too."
)
EXAMPLES = (
    "casync get https://host/images/vm.img -o vm.img",
    "casync get s3://images/2024/vm.img --name vm/2024",
    "casync get 'https://host/shard.tar?X-Amz-Signature=…' -o - | tar t",
)


def run(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="The object.")],
    out: Annotated[
        str | None,
        typer.Option("-o", metavar="FILE", help="The file to write; - for stdout."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name the object.")
    ] = None,
    reread: Annotated[
        bool,
        typer.Option("--reread", help="Fetch it even if it seems unchanged, and mend chunks."),
    ] = False,
    allow_network_fs: AllowNetworkFs = False,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    invocation.resume = "The same command starts over; a `casync download` can be continued."
    from casync import api, sources
    from casync.jobs.address import parse_address
    from casync.names.name import parse_name
    from casync.ops.prepare.file import PrepareOptions
    from casync.ops.pull.file import Pulled

    address = parse_address(url)
    if not address.scheme:
        raise UsageError(
            f"{url} is not a URL", next_step="Write SCHEME://…; `casync prepare` takes paths."
        )
    url = str(address)
    target = _target(invocation, out)
    if invocation.remote.limit and not invocation.remote.server and address.scheme != "casync":
        raise UsageError(
            "--limit is for casync servers",
            next_step=f"`casync download` takes it for {address.scheme}:// as well.",
        )
    is_served = invocation.asks_server(url)
    if reread and is_served:
        raise UsageError(
            "a server rereads nothing", next_step="Its operator can run `casync repair` there."
        )
    if is_served:
        _report_served(invocation, get_on_server(invocation, url, name, target), out)
        return
    label = None if name is None else parse_name(name)
    options = PrepareOptions(name=label, reread=reread, mend=reread)
    access = invocation.source_options(url)
    with invocation.open_store(create=True, allow_network_fs=allow_network_fs) as store:
        with invocation.progress() as progress:
            got = sources.get(url, store, options, access=access, progress=progress)
        outcome: str | None = None
        invocation.resume = "Run the same command again: the object is in the store."
        if target is not None:
            with invocation.progress() as progress:
                pulled = api.pull(got.manifest.hex(), target, store=store, progress=progress)
            assert isinstance(pulled, Pulled)
            outcome = pulled.outcome
    _report(invocation, got, out, outcome)


def _target(invocation: Invocation, out: str | None) -> Path | BinaryIO | None:
    if out != "-":
        return None if out is None else parse_path(out, "-o")
    if invocation.output.to_terminal:
        raise UsageError(
            "refusing to write content to a terminal", next_step="Name a file with -o FILE."
        )
    if invocation.output.json_mode:
        raise UsageError("--json and -o - cannot share stdout")
    return invocation.output.binary


def _report_served(invocation: Invocation, got: ServedObject, out: str | None) -> None:
    output, record = invocation.output, got.record
    if output.json_mode:
        output.document(
            "casync.get/1",
            {
                "manifest": record.manifest.hex(),
                "name": record.name,
                "version": record.version,
                "length": got.length,
                "unchanged": got.unchanged,
                "stored": None,
                "output": out,
                "outcome": got.outcome,
                "seconds": round(got.seconds, 3),
            },
        )
    elif out is None:
        output.row(record.manifest.hex())
    output.flush()
    known = ", unchanged since it was last fetched" if got.unchanged else " fetched by the server"
    output.say(f"{format_size(got.length)}{known}")
    if out is not None:
        output.say(f"{'stdout' if out == '-' else out}: {got.outcome}")
    output.say(f"named {record.name}@{record.version}")


def _report(invocation: Invocation, got: Prepared, out: str | None, outcome: str | None) -> None:
    output = invocation.output
    if output.json_mode:
        output.document(
            "casync.get/1",
            {
                "manifest": got.manifest.hex(),
                "name": got.name.name if got.name else None,
                "version": got.name.version if got.name else None,
                "length": got.length,
                "unchanged": got.unchanged,
                "stored": got.stored,
                "output": out,
                "outcome": outcome,
                "seconds": round(got.seconds, 3),
            },
        )
    elif out is None:
        output.row(got.manifest.hex())
    output.flush()
    size = format_size(got.length)
    if got.unchanged:
        output.say(f"{size}, unchanged since it was last fetched")
    else:
        output.say(f"{size} fetched, {format_size(got.stored)} stored")
    if out is not None:
        output.say(f"{'stdout' if out == '-' else out}: {outcome}")
    if got.name is not None:
        output.say(f"named {got.name.name}@{got.name.version}")
