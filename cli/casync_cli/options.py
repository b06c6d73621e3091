"""The options that several commands share, declared once.

Typer turns the functions below into parameters, and `verbs` adds them to the commands. Values are
kept in the invocation; options may come before or after the verb, and the last one wins. The types
are for commands that declare one of these options themselves. Every value arrives as text, and
commands parse it: errors have one style, and Typer does not load its validation library (0.08 s at
each start).
"""

from __future__ import annotations

from typing import Annotated

import typer

from casync import __version__

__all__ = [
    "AllowNetworkFs",
    "Create",
    "DryRun",
    "ExpectDigest",
    "Mime",
    "OnlySummary",
    "Prefix",
    "ProgressInterval",
    "Regex",
    "SignKey",
    "Substr",
    "Suffix",
    "WdsKey",
    "common",
    "remote",
]

AllowNetworkFs = Annotated[
    bool, typer.Option("--allow-network-fs", help="Create the store even on a network file system.")
]

Create = Annotated[bool, typer.Option("--create", help="Create the store if there is none.")]

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done, but change nothing.")
]

ExpectDigest = Annotated[
    str | None,
    typer.Option("--expect", metavar="sha256:HEX", help="Fail unless the content has this digest."),
]

SignKey = Annotated[
    str | None,
    typer.Option("--sign", metavar="KEY", help="Sign the name with the private key in this file."),
]

OnlySummary = Annotated[
    bool, typer.Option("--wait", help="Show no progress, only a summary at the end.")
]

Mime = Annotated[
    str | None,
    typer.Option("--mime", metavar="TYPE", help="Fail unless the archive is of this type."),
]
Prefix = Annotated[
    str | None,
    typer.Option("--prefix", metavar="P", help="Only members whose paths begin with P."),
]
Suffix = Annotated[
    str | None, typer.Option("--suffix", metavar="S", help="Only members whose paths end with S.")
]
Substr = Annotated[
    str | None, typer.Option("--substr", metavar="S", help="Only members with S in their paths.")
]
Regex = Annotated[
    str | None,
    typer.Option("--regex", metavar="RE", help="Only members whose paths a pattern matches."),
]
WdsKey = Annotated[
    str | None,
    typer.Option("--wdskey", metavar="KEY", help="Only members of one WebDataset sample."),
]

ProgressInterval = Annotated[
    str | None,
    typer.Option(
        "--progress-interval",
        metavar="T",
        help="Time between two lines or documents.  [default: 10s]",
    ),
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
        str | None,
        _common("STORE", "--store", help="The store.  [default: CASYNC_STORE, or your own]"),
    ] = None,
    json: Annotated[
        bool | None, _common("", "--json", help="Print one JSON document, and errors as JSON.")
    ] = None,
    quiet: Annotated[
        bool | None, _common("", "-q", "--quiet", help="Print only data and errors, no progress.")
    ] = None,
    verbose: Annotated[
        bool | None, _common("", "-v", "--verbose", help="Print more details.")
    ] = None,
    progress: Annotated[
        bool | None,
        _common(
            "", "--progress/--no-progress", help="Show a bar even without a terminal, or nothing."
        ),
    ] = None,
    config: Annotated[
        str | None, _common("FILE", "--config", help="Read this file instead of your own settings.")
    ] = None,
    debug: Annotated[
        bool | None, _common("", "--debug", help="Print tracebacks of errors.")
    ] = None,
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
    """Parameters of every command."""


def remote(
    server: Annotated[
        list[str] | None,
        _remote("URL", "--server", help="A server; repeatable. The first one resolves names."),
    ] = None,
    token_file: Annotated[
        str | None,
        _remote("F", "--token-file", help="A file with the token for the first server."),
    ] = None,
    ca: Annotated[
        str | None, _remote("F", "--ca", help="CA certificates in PEM, instead of the system's.")
    ] = None,
    insecure: Annotated[
        bool | None, _remote("", "--insecure", help="Do not verify certificates.")
    ] = None,
    insecure_http: Annotated[
        bool | None,
        _remote("", "--insecure-http", help="Allow sending a token over plain HTTP."),
    ] = None,
    proxy: Annotated[
        str | None,
        _remote("URL", "--proxy", help="An HTTP proxy. Environment variables are ignored."),
    ] = None,
    proxy_auth: Annotated[
        str | None, _remote("F", "--proxy-auth", help="A file with USER:PASSWORD for the proxy.")
    ] = None,
    limit: Annotated[
        str | None, _remote("RATE", "--limit", help="Limit of bytes per second, such as 10M.")
    ] = None,
    connections: Annotated[
        str | None, _remote("N", "-p", "--connections", help="Concurrent requests.  [default: 4]")
    ] = None,
    retry_for: Annotated[
        str | None,
        _remote(
            "TIME",
            "--retry-for",
            help="Give up on a server after this time without progress.  [default: 60s]",
        ),
    ] = None,
) -> None:
    """Parameters of commands that use servers."""
