"""The options that several commands share, declared once.

Typer makes parameters out of the functions below, and `verbs` adds them to the commands. What is
given is kept in the invocation, whichever side of the verb it stands on, the last one winning.
The types are for commands that take one of these options among their own.
Every value arrives as text and is read by us: errors have one style, and Typer need not load its
validation library (0.08 s at each start).
"""

from __future__ import annotations

from typing import Annotated

import typer

from casync import __version__

__all__ = ["AllowNetworkFs", "DryRun", "ExpectDigest", "common", "remote"]

AllowNetworkFs = Annotated[
    bool, typer.Option("--allow-network-fs", help="Make the store on a network file system.")
]

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")
]

ExpectDigest = Annotated[
    str | None,
    typer.Option("--expect", metavar="sha256:HEX", help="Refuse content of another digest."),
]


def _keep_common(ctx: typer.Context, param: typer.CallbackParam, value: object) -> None:
    if value is not None:
        setattr(ctx.obj.common, param.name or "", value)


def _keep_remote(ctx: typer.Context, param: typer.CallbackParam, value: object) -> None:
    if value is not None and value != () and value != []:
        setattr(ctx.obj.remote, param.name or "", value)


def _print_version(ctx: typer.Context, value: bool | None) -> None:
    if value and not ctx.resilient_parsing:
        typer.echo(f"casync {__version__}")
        raise typer.Exit


def _common(metavar: str = "", *names: str, help: str) -> object:  # noqa: A002 - Typer's word
    return typer.Option(
        *names, metavar=metavar or None, help=help, callback=_keep_common, expose_value=False
    )


def _remote(metavar: str = "", *names: str, help: str) -> object:  # noqa: A002 - Typer's word
    return typer.Option(
        *names, metavar=metavar or None, help=help, callback=_keep_remote, expose_value=False
    )


def common(
    store: Annotated[
        str | None, _common("DIR", "--store", help="The store. Else CASYNC_STORE, or your own one.")
    ] = None,
    json: Annotated[
        bool | None, _common("", "--json", help="Print one JSON document, and errors as JSON.")
    ] = None,
    quiet: Annotated[
        bool | None, _common("", "-q", "--quiet", help="No talk and no progress, only errors.")
    ] = None,
    verbose: Annotated[bool | None, _common("", "-v", "--verbose", help="More details.")] = None,
    progress: Annotated[
        bool | None,
        _common("", "--progress/--no-progress", help="A bar even without a terminal, or nothing."),
    ] = None,
    config: Annotated[
        str | None, _common("FILE", "--config", help="Read this in place of your own settings.")
    ] = None,
    debug: Annotated[bool | None, _common("", "--debug", help="Tracebacks of errors.")] = None,
    version: Annotated[
        bool | None,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            callback=_print_version,
            is_eager=True,
            expose_value=False,
        ),
    ] = None,
) -> None:
    """The parameters of every command."""


def remote(
    server: Annotated[
        list[str] | None,
        _remote(
            "URL", "--server", help="A server. May be given again; the first one resolves names."
        ),
    ] = None,
    token_file: Annotated[
        str | None,
        _remote("F", "--token-file", help="The token for the first server is in this file."),
    ] = None,
    ca: Annotated[
        str | None, _remote("F", "--ca", help="Authorities to trust in place of the system's, PEM.")
    ] = None,
    insecure: Annotated[
        bool | None, _remote("", "--insecure", help="Do not check certificates.")
    ] = None,
    insecure_http: Annotated[
        bool | None,
        _remote("", "--insecure-http", help="Let a token go over http to another machine."),
    ] = None,
    proxy: Annotated[
        str | None, _remote("URL", "--proxy", help="An HTTP proxy. The environment is not asked.")
    ] = None,
    limit: Annotated[
        str | None, _remote("RATE", "--limit", help="Bytes a second at most, like 10M.")
    ] = None,
    connections: Annotated[
        str | None, _remote("N", "-p", "--connections", help="Requests at once.  [default: 4]")
    ] = None,
    retry_for: Annotated[
        str | None,
        _remote(
            "TIME",
            "--retry-for",
            help="Give a server up after this time without progress.  [default: 60s]",
        ),
    ] = None,
) -> None:
    """The parameters of commands that talk to servers."""
