"""`casync ls`: lists names and manifests of the store or a server, or the entries of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from casync.errors import UsageError
from casync.sizes import format_size
from casync_cli.completion import complete_name
from casync_cli.invocation import invocation_of
from casync_cli.output import Output
from casync_cli.parsing.patterns import check_open, literal_prefix, matches
from casync_cli.parsing.times import format_moment

if TYPE_CHECKING:
    from casync.store.base import ManifestRow, ManifestSource

DETAILS = (
    "Without PATTERN, lists all names with their newest versions, then manifests without a name. "
    "PATTERN is a name, PREFIX/ for all names below it, or a glob with * ? [ ]. Columns: hash, "
    "name; with -l hash, length, time, name with version. REF:PATH lists a folder in REF, and "
    "REF: its top folder. Columns: path; with -l mode, length, time, content id, path, link "
    "target."
)
EXAMPLES = (
    "casync ls",
    "casync ls -l vm/",
    "casync ls 'vm/*-06' --server http://10.0.0.1:8080",
    "casync ls -lR www:css",
)


class _Entry(NamedTuple):
    hash: str
    name: str | None
    version: int | None
    length: int | None
    created: int


def run(
    ctx: typer.Context,
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="PATTERN",
            help="A name, PREFIX/, GLOB or REF:PATH.",
            autocompletion=complete_name,
        ),
    ] = None,
    long: Annotated[bool, typer.Option("-l", help="Show lengths, times and versions.")] = False,
    recursive: Annotated[
        bool, typer.Option("-R", help="List subfolders of REF:PATH, too.")
    ] = False,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    output = invocation.output
    from casync.names.name import parse_ref
    from casync_cli.reports.tree import list_inside

    inside = parse_ref(pattern) if pattern is not None and ":" in pattern else None
    if recursive and inside is None:
        raise UsageError("-R works only in a folder", next_step="Name one as REF: or REF:PATH.")
    with invocation.source() as source:
        if inside is not None:
            list_inside(inside, source, output, long=long, recursive=recursive)
            return
        entries = _entries(source, pattern, lengths=long or output.json_mode)
        if output.json_mode:
            output.document("casync.ls/1", {"entries": [_fields(entry) for entry in entries]})
            return
        for entry in entries:
            _print(output, entry, long=long)


def _entries(source: ManifestSource, pattern: str | None, *, lengths: bool) -> Iterator[_Entry]:
    prefix = literal_prefix(pattern or "")
    rows: dict[bytes, ManifestRow] = {}
    if lengths or pattern is None:
        rows = {row.id: row for row in source.manifests()}
    named: set[bytes] = set()
    found = False
    for record in source.names(prefix):
        if pattern is not None and not matches(record.name, pattern):
            continue
        found = True
        named.add(record.manifest)
        row = rows.get(record.manifest)
        yield _Entry(
            record.manifest.hex(),
            record.name,
            record.version,
            row.length if row is not None else None,
            record.created,
        )
    if pattern is None:
        for ident, row in rows.items():
            if ident not in named:
                yield _Entry(ident.hex(), None, None, row.length, row.created)
    elif not found:
        check_open(pattern)


def _print(output: Output, entry: _Entry, *, long: bool) -> None:
    if not long:
        output.row(entry.hash, entry.name or "")
        return
    length = "" if entry.length is None else str(entry.length)
    if output.to_terminal and entry.length is not None:
        length = format_size(entry.length).rjust(9)
    name = f"{entry.name}@{entry.version}" if entry.name is not None else ""
    output.row(entry.hash, length, format_moment(entry.created), name)


def _fields(entry: _Entry) -> dict[str, object]:
    return {
        "manifest": entry.hash,
        "name": entry.name,
        "version": entry.version,
        "length": entry.length,
        "created": format_moment(entry.created),
    }
