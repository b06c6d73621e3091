"""`casync serve`: the store over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from casync.errors import UsageError
from casync_cli.counts import parse_count
from casync_cli.invocation import invocation_of
from casync_cli.times import parse_duration

DETAILS = (
    "Nobody is asked who he is, so only addresses of this machine are taken unless "
    "--insecure-no-auth is given. The store is only read, unless --writable is given. SIGTERM and "
    "Ctrl-C let running answers end. Port 0 takes a free port; the address is printed when the "
    "server is ready."
)
EXAMPLES = (
    "casync serve",
    "casync serve --listen 127.0.0.1:9000 --listen unix:/run/casync.sock",
    "casync serve --listen 0.0.0.0:8080 --insecure-no-auth",
    "casync serve --writable --gc-interval 6h",
)

_MAX_WORKERS = 256


def run(
    ctx: typer.Context,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            metavar="ADDR",
            help="ADDR:PORT or unix:PATH; may be given again.  [default: 127.0.0.1:8080]",
        ),
    ] = None,
    workers: Annotated[
        str | None, typer.Option("--workers", metavar="N", help="Processes.  [default: 1]")
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option(
            "--grace", metavar="TIME", help="How long running answers may last.  [default: 30s]"
        ),
    ] = None,
    insecure_no_auth: Annotated[
        bool,
        typer.Option("--insecure-no-auth", help="Let anybody in who can reach the address."),
    ] = False,
    writable: Annotated[
        bool, typer.Option("--writable", help="Let clients push, set names and remove.")
    ] = False,
    gc_interval: Annotated[
        str | None,
        typer.Option("--gc-interval", metavar="TIME", help="Collect the store this often."),
    ] = None,
    log_format: Annotated[
        str,
        typer.Option("--log-format", metavar="FORMAT", help="text or json.  [default: text]"),
    ] = "text",
) -> int:
    """Runs the command."""
    invocation = invocation_of(ctx)
    if log_format not in ("text", "json"):
        raise UsageError(f"--log-format takes text or json, not {log_format}")
    from casync_server.options import ServeOptions

    usual = ServeOptions(store=invocation.store_path)
    options = ServeOptions(
        store=usual.store,
        listen=tuple(listen) if listen else usual.listen,
        workers=parse_count(workers, "--workers", 1, _MAX_WORKERS) if workers else usual.workers,
        grace=parse_duration(grace) if grace else usual.grace,
        insecure_no_auth=insecure_no_auth,
        writable=writable,
        gc_interval=parse_duration(gc_interval) if gc_interval else None,
        log_format="json" if log_format == "json" else "text",
        debug=invocation.common.debug,
    )
    from casync_server.main import serve

    return serve(options)
