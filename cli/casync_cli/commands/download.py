"""`casync download`: downloads many objects as a job."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final

import typer

from casync.errors import NoStoreError, UsageError
from casync_cli.completion import complete_name
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.job_run import parse_progress_interval, run_here, run_there
from casync_cli.options import AllowNetworkFs, DryRun, OnlySummary, ProgressInterval
from casync_cli.parsing.counts import parse_count, parse_part
from casync_cli.parsing.headers import parse_headers
from casync_cli.parsing.paths import parse_path
from casync_cli.parsing.sizes import parse_hourly, parse_rate, parse_size
from casync_cli.parsing.times import parse_duration
from casync_cli.reports.job_plan import report_job_plan, report_served_plan

if TYPE_CHECKING:
    from casync.downloads import DownloadRequest
    from casync.store.jobs import JobStore

DETAILS = (
    "SOURCE is the address of an object: http(s)://…, s3://…, gs://…, az://…, or a path. With a "
    "slash at its end it is everything below it, with * everything that begins so, and with "
    "{001..100} a range. DEST is the name of the object, or with a slash, the folder of names. "
    "Prints the id of the job, and runs it here. What is unchanged is skipped. The same command "
    "continues a job that was stopped or killed. Exit status 3 if objects failed. With --server "
    "the job runs there, and the command returns at once unless --wait or --progress is given."
)
EXAMPLES = (
    "casync download 'http://host/abc/shard-{001..010}.tar' abc/",
    "casync download s3://images/2024/ images/2024/ --sync --max-delete 100",
    "casync download gs://lpr-vision lpr/ --object-list objects.json --limit 20M",
    "casync download 'gs://lpr-vision/dir/prefix-*' lpr/ --dry-run",
    "casync download https://host/abc/ abc/ --server https://chunks.example.com --wait",
)

_MAX_DELETE: Final = 2**63 - 1


def run(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The address of an object, or of several.")
    ],
    dest: Annotated[
        str,
        typer.Argument(
            metavar="DEST", help="A name, or a folder of names.", autocompletion=complete_name
        ),
    ],
    description: Annotated[
        str | None,
        typer.Option("--description", metavar="TEXT", help="A text that `job ls` shows."),
    ] = None,
    desc: Annotated[str | None, typer.Option("--desc", hidden=True)] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="T",
            help="Give up a request after this time without progress.  [default: 60s]",
        ),
    ] = None,
    max_conns: Annotated[
        str | None,
        typer.Option("--max-conns", metavar="N", help="Concurrent requests.  [default: 16]"),
    ] = None,
    conns: Annotated[str | None, typer.Option("--conns", hidden=True)] = None,
    limit_bph: Annotated[
        str | None,
        typer.Option("--limit-bph", metavar="SIZE", help="Limit of bytes per hour, such as 20G."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option("--limit", metavar="RATE", help="Limit of bytes per second, such as 10M."),
    ] = None,
    object_list: Annotated[
        str | None,
        typer.Option(
            "--object-list",
            "--from",
            metavar="FILE",
            help="Download the objects in this list: JSON, JSON lines or CSV; - for stdin.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            metavar="K:V",
            help="A header for the server of SOURCE, or @FILE with some; repeatable.",
        ),
    ] = None,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Make names of last components only.")
    ] = False,
    sync: Annotated[
        bool, typer.Option("--sync", help="Remove names whose objects are gone at the source.")
    ] = False,
    max_delete: Annotated[
        str | None,
        typer.Option(
            "--max-delete", metavar="N", help="Remove nothing if it would be more than N names."
        ),
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Accept a source without any object.")
    ] = False,
    part: Annotated[
        str | None,
        typer.Option("--part", metavar="K/N", help="Download only part K of N."),
    ] = None,
    chunk_size: Annotated[
        str | None,
        typer.Option("--chunk-size", metavar="AVG", help="Average chunk size.  [default: 16KiB]"),
    ] = None,
    progress_interval: ProgressInterval = None,
    wait: OnlySummary = False,
    dry_run: DryRun = False,
    allow_network_fs: AllowNetworkFs = False,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    invocation.resume = "Run the same command again."
    from casync.downloads import DownloadOptions, DownloadRequest
    from casync.jobs.address import parse_address
    from casync.limits import JOB_CONNECTIONS, MAX_JOB_CONNECTIONS
    from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams

    interval = parse_progress_interval(progress_interval)
    many = max_conns or conns
    share, shares = (1, 1) if part is None else parse_part(part)
    options = DownloadOptions(
        description=description or desc or "",
        timeout=60.0 if timeout is None else parse_duration(timeout),
        max_conns=JOB_CONNECTIONS
        if many is None
        else parse_count(many, "--max-conns", 1, MAX_JOB_CONNECTIONS),
        limit_bph=0 if limit_bph is None else parse_hourly(limit_bph),
        limit=0 if rate is None else parse_rate(rate),
        headers=parse_headers(header or []),
        flatten=flatten,
        sync=sync,
        max_delete=_most_deleted(max_delete, sync=sync),
        allow_empty=allow_empty,
        part=share,
        shares=shares,
        chunker=DEFAULT_PARAMS
        if chunk_size is None
        else ChunkerParams.from_average(parse_size(chunk_size)),
    )
    reached = source if "://" in source else str(parse_address(source))
    is_served = invocation.asks_server(reached, unused=("retry_for",))  # a job tries by itself
    listed = None if object_list is None else _list_file(object_list)
    address = source if is_served else _source(source, is_listed=listed is not None)
    with DownloadRequest(address, _dest(dest), options, listed) as request:
        if is_served:
            with invocation.jobs_client() as client:
                if dry_run:
                    report_served_plan(
                        invocation.output,
                        request.spec,
                        client.plan(request.wanted, request.entries()),
                    )
                    return
                row = client.create(request.wanted, request.entries(), request.spec.list_digest)
                run_there(invocation, client, row, interval=interval, only_summary=wait)
            return
        if dry_run:
            _forecast(invocation, request)
            return
        with (
            invocation.open_store(create=True, allow_network_fs=allow_network_fs) as store,
            request.claim(store, invocation.source_options(request.spec.source)) as claim,
        ):
            run_here(invocation, store, claim, request.items, interval=interval, only_summary=wait)


def _source(text: str, *, is_listed: bool) -> str:
    """The source. A local folder needs a slash at its end, or it would be one object."""
    path = text.removeprefix("file://")
    is_local = path != text or text[:1] in ("/", ".")
    if is_local and not is_listed and not path.endswith("/") and os.path.isdir(path):
        raise UsageError(f"{text} is a folder", next_step=f"Write {text}/ for all that is in it.")
    return text


def _dest(text: str) -> str:
    """The destination; a slash alone is the root of all names."""
    from casync.jobs.address import redacted

    if "://" in text:
        raise UsageError(
            f"DEST is a name in the store, not an address: {redacted(text)}",
            next_step="Write it as in imagenet/train/.",
        )
    return "" if text == "/" else text


def _most_deleted(text: str | None, *, sync: bool) -> int | None:
    if text is None:
        return None
    if not sync:
        raise UsageError("--max-delete needs --sync", next_step="Add --sync, or drop it.")
    return parse_count(text, "--max-delete", 0, _MAX_DELETE)


def _list_file(text: str) -> Path | BinaryIO:
    if text != "-":
        return parse_path(text, "--object-list")
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            "--object-list - reads stdin, which has no list", next_step="Name a file, or pipe one."
        )
    return sys.stdin.buffer


def _forecast(invocation: Invocation, request: DownloadRequest) -> None:
    """Prints what the job would do. Without a store, nothing is here."""
    from casync.store.memory import MemoryStore

    access = invocation.source_options(request.spec.source)
    with ExitStack() as stack:
        jobs: JobStore = MemoryStore().jobs
        with suppress(NoStoreError):
            jobs = stack.enter_context(invocation.open_store(read_only=True)).jobs
        report_job_plan(invocation.output, request.spec, request.forecast(jobs, access))
