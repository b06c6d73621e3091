"""`casync serve`: serves the store over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import UsageError
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import AllowNetworkFs, Create
from casync_cli.parsing.counts import parse_count
from casync_cli.parsing.paths import parse_path
from casync_cli.parsing.times import parse_duration
from casync_cli.store_place import bucket_home, is_address

if TYPE_CHECKING:
    from casync_server.options import ServedBucket, Upstream

DETAILS = (
    "If the store has tokens (`casync token new`), requests need one. If it has none, the server "
    "listens only on addresses of this machine unless --insecure-no-auth or --client-ca is given."
    " Clients can change the store only with --writable, which also creates it, as --create, "
    "--upstream and --jobs do. SIGTERM and Ctrl-C let running answers "
    "finish. Port 0 picks a free port; the address is printed when the server is ready."
)
EXAMPLES = (
    "casync serve",
    "casync serve --listen 127.0.0.1:9000 --listen unix:/run/casync.sock",
    "casync serve --create --listen 0.0.0.0:8080 --insecure-no-auth",
    "casync serve --upstream https://chunks.example.com --store /var/cache/casync",
    "casync serve --writable --gc-interval 6h",
    "casync serve --store s3://bucket/casync --writable --tokens /var/lib/casync",
    "casync serve --jobs --allow-host '*.corp.example.com' --import-root /srv/import",
)


def run(
    ctx: typer.Context,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            metavar="ADDR",
            help="ADDR:PORT or unix:PATH; repeatable.  [default: 127.0.0.1:8080]",
        ),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option("--workers", metavar="N", help="Number of processes.  [default: 1]"),
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option(
            "--grace", metavar="TIME", help="Time for open responses on shutdown.  [default: 30s]"
        ),
    ] = None,
    insecure_no_auth: Annotated[
        bool,
        typer.Option("--insecure-no-auth", help="Serve anyone who can reach the address."),
    ] = False,
    create: Create = False,
    writable: Annotated[
        bool, typer.Option("--writable", help="Let clients push, set and remove names.")
    ] = False,
    tls_cert: Annotated[
        str | None, typer.Option("--tls-cert", metavar="F", help="Certificate for TLS, in PEM.")
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option("--tls-key", metavar="F", help="Key of the certificate, in PEM.")
    ] = None,
    client_ca: Annotated[
        str | None,
        typer.Option(
            "--client-ca", metavar="F", help="Require client certificates from these CAs."
        ),
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            "--upstream", metavar="URL", help="Fetch missing objects from there, and keep them."
        ),
    ] = None,
    audit_log: Annotated[
        str | None,
        typer.Option("--audit-log", metavar="F", help="Log requests that change something here."),
    ] = None,
    gc_interval: Annotated[
        str | None,
        typer.Option("--gc-interval", metavar="TIME", help="Run garbage collection this often."),
    ] = None,
    jobs: Annotated[
        bool, typer.Option("--jobs", help="Run downloads for clients that may.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="PATTERN",
            help="Let jobs connect to this host or network, too; repeatable.",
        ),
    ] = None,
    import_root: Annotated[
        str | None,
        typer.Option("--import-root", metavar="DIR", help="Let jobs read local files below DIR."),
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            "--tokens",
            metavar="DIR",
            help="Store whose tokens admit clients to a store in a bucket.",
        ),
    ] = None,
    log_format: Annotated[
        str,
        typer.Option("--log-format", metavar="FORMAT", help="text or json."),
    ] = "text",
    allow_network_fs: AllowNetworkFs = False,
) -> int:
    """Runs the command."""
    invocation = invocation_of(ctx)
    if log_format not in ("text", "json"):
        raise UsageError(f"--log-format takes text or json, not {log_format}")
    from casync_server.options import MAX_WORKERS, ServeOptions

    bucket, store = _place(invocation)
    options = ServeOptions(
        store=store,
        bucket=bucket,
        tokens=_path(tokens, "--tokens"),
        listen=tuple(listen or ServeOptions.listen),
        workers=ServeOptions.workers
        if workers is None
        else parse_count(workers, "--workers", 1, MAX_WORKERS),
        grace=ServeOptions.grace if grace is None else parse_duration(grace),
        insecure_no_auth=insecure_no_auth,
        create=create,
        writable=writable,
        tls_cert=_path(tls_cert, "--tls-cert"),
        tls_key=_path(tls_key, "--tls-key"),
        client_ca=_path(client_ca, "--client-ca"),
        upstream=_upstream(invocation, upstream) if upstream else None,
        audit_log=_path(audit_log, "--audit-log"),
        gc_interval=parse_duration(gc_interval) if gc_interval else None,
        jobs=jobs,
        allow_hosts=tuple(allow_host or ()),
        import_root=_path(import_root, "--import-root"),
        log_format="json" if log_format == "json" else "text",
        quiet=invocation.common.quiet,
        allow_network_fs=allow_network_fs,
        debug=invocation.common.debug,
    )
    from casync_server.main import serve

    return serve(options)


def _place(invocation: Invocation) -> tuple[ServedBucket | None, Path]:
    """The bucket, if the store is in one, and its tables; else the folder of the store."""
    from casync_server.options import ServedBucket

    address = invocation.store
    if not is_address(address):
        return None, invocation.store_path
    from casync.bucket_stores import tables_folder
    from casync.fs.paths import as_path

    options, home = invocation.source_options(), bucket_home()
    bucket = ServedBucket(
        address,
        home,
        s3_endpoint=options.s3_endpoint,
        s3_ca=None if options.s3_ca is None else as_path(options.s3_ca),
        s3=dict(options.s3),
        gs_endpoint=options.gs_endpoint,
        az_endpoint=options.az_endpoint,
        az=dict(options.az),
        ca=None if options.ca is None else as_path(options.ca),
        proxy=options.proxy,
        proxy_auth=options.proxy_auth,
    )
    return bucket, tables_folder(address, home, options)


def _upstream(invocation: Invocation, url: str) -> Upstream:
    """The upstream server, with its configured token and CA."""
    from casync_server.options import Upstream

    from casync.remote.http.address import origin_of

    transport = invocation.transport([url])
    origin = origin_of(url)
    ca = transport.authorities.get(origin, transport.ca)
    return Upstream(url, transport.tokens.get(origin, ""), None if ca is None else Path(ca))


def _path(text: str | None, option: str) -> Path | None:
    return None if text is None else parse_path(text, option)
