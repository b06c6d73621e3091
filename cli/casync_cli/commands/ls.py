"""`casync ls`: lists names and manifests of the store or a server, or the entries of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from casync.errors import (
    IntegrityError,
    NoNameError,
    NoObjectError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from casync.ids import Kind, ManifestId
from casync.limits import MAX_BATCH_IDS
from casync_cli.columns import Column, hashes, moments, sizes
from casync_cli.completion import complete_ref
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.output import Output
from casync_cli.parsing.patterns import check_open, literal_prefix, matches
from casync_cli.parsing.times import format_moment
from casync_cli.short_ids import full_id

if TYPE_CHECKING:
    from casync.archives.member import Member
    from casync.store.base import ManifestRow, ManifestSource
    from casync_cli.short_ids import ShowId

DETAILS = (
    "Without PATTERN, lists all names with their newest versions, then manifests without a name. "
    "PATTERN is a name, PREFIX/ for all names below it, a glob with * ? [ ], or a hash or the "
    "first digits of one. Columns: hash, name; with -l hash, length, time, name with version. "
    "REF:PATH lists a folder in REF, and REF: its top folder. Columns: path; with -l mode, "
    "length, time, content id, path, link target. The length of a folder is that of all files in "
    "it; that of a large folder of a server is not shown. With --archive the members of an archive "
    "follow it, as NAME:MEMBER or PATH/MEMBER. URL/ lists a folder of a web server or a bucket: "
    "size, path; with -l size, time, path. A terminal gets hashes of the local store as short as "
    "other commands take them, and no content ids; --full shows all digits."
)
EXAMPLES = (
    "casync ls",
    "casync ls -l vm/",
    "casync ls 'vm/*-06' --server http://10.0.0.1:8080",
    "casync ls -lR www:css",
    "casync ls --archive shards/",
    "casync ls http://host/images/",
)


class _Entry(NamedTuple):
    id: ManifestId
    name: str | None
    version: int | None
    length: int | None
    created: int
    total: int | None = None
    member: Member | None = None

    @property
    def text(self) -> str | None:
        """The name; of a member its ref."""
        if self.member is None:
            return self.name
        return f"{self.name or self.id.hex()}:{os.fsdecode(self.member.path)}"

    @property
    def versioned(self) -> str | None:
        """As `text`, with the version of the name."""
        if self.name is None or self.version is None:
            return self.text
        return self._replace(name=f"{self.name}@{self.version}", version=None).text


def run(
    ctx: typer.Context,
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="PATTERN",
            help="A name, PREFIX/, GLOB, HASH, REF:PATH or URL/.",
            autocompletion=complete_ref,
        ),
    ] = None,
    long: Annotated[bool, typer.Option("-l", help="Show lengths, times and versions.")] = False,
    recursive: Annotated[
        bool, typer.Option("-R", help="List subfolders of REF:PATH or URL/, too.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Show all digits of hashes and contents.")
    ] = False,
    archive: Annotated[
        bool, typer.Option("--archive", help="List the members of archives, too.")
    ] = False,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    output = invocation.output
    from casync.names.name import parse_ref
    from casync.remote.sources.open import is_address

    if pattern is not None and is_address(pattern):
        if archive:
            raise UsageError("archives at a URL are not read", next_step="`casync get` stores one.")
        _list_url(invocation, pattern, long=long, recursive=recursive)
        return
    inside = parse_ref(pattern) if pattern is not None and ":" in pattern else None
    if recursive and inside is None:
        raise UsageError("-R works only in a folder", next_step="Name one as REF: or REF:PATH.")
    with invocation.source(keeps_indexes=archive) as source:
        is_remote = bool(invocation.remote.server)
        if inside is not None:
            from casync_cli.reports.tree import list_inside

            list_inside(
                inside,
                source,
                output,
                long=long,
                recursive=recursive,
                full=full,
                is_remote=is_remote,
                archives=archive,
            )
            return
        entries = _entries(source, pattern, lengths=long or output.json_mode)
        if long:
            entries = _with_totals(entries, source, output, is_remote=is_remote)
        if archive:
            entries = _with_members(entries, source, output)
        if output.json_mode:
            output.document_of_rows("casync.ls/1", {}, "entries", map(_fields, entries))
        else:
            show = full_id if full else invocation.shown_ids(source)
            _print(output, entries, show, long=long)


def _list_url(invocation: Invocation, address: str, *, long: bool, recursive: bool) -> None:
    from casync.sources import list_url
    from casync_cli.reports.url import report_url

    if invocation.asks_server(address):
        raise UsageError("a URL is not on the server", next_step="Drop --server.")
    access = invocation.source_options(address)
    entries = list_url(address, recursive=recursive, times=long, access=access)
    report_url(invocation.output, address, entries, long=long)


def _entries(source: ManifestSource, pattern: str | None, *, lengths: bool) -> Iterator[_Entry]:
    """The names and manifests that a pattern selects; all if there is none."""
    from casync.names.name import is_hash

    digits, pattern = (pattern, None) if pattern and is_hash(pattern) else ("", pattern)
    rows: dict[bytes, ManifestRow] = {}
    if lengths or pattern is None:
        rows = {row.id: row for row in source.manifests() if row.id.hex().startswith(digits)}
    if digits and not rows:
        raise NoNameError(
            f"no manifest here begins with {digits}", next_step="`casync ls` lists the manifests."
        )
    named: set[bytes] = set()
    for record in source.names(literal_prefix(pattern or "")):
        ident = ManifestId(record.manifest)
        row = rows.get(ident)
        if matches(record.name, pattern) if pattern is not None else not digits or row is not None:
            named.add(ident)
            length = None if row is None else row.length
            yield _Entry(ident, record.name, record.version, length, record.created)
    if pattern is None:
        for row in rows.values():
            if row.id not in named:
                yield _Entry(row.id, None, None, row.length, row.created)
    elif not named:
        check_open(pattern)


def _with_totals(
    entries: Iterable[_Entry], source: ManifestSource, output: Output, *, is_remote: bool
) -> Iterator[_Entry]:
    """Adds the bytes of all files; of folders of a server, as far as few requests tell them."""
    from casync.objects.folder_sizes import FolderSizes
    from casync.objects.manifest import decode_manifest
    from casync.store.proved import Lost, ProvedReader
    from casync_cli.reports.tree import READS_OF_SERVER

    reader = ProvedReader(source)
    folders = FolderSizes(reader.plain, READS_OF_SERVER if is_remote else None)
    rest = iter(entries)
    while batch := list(islice(rest, MAX_BATCH_IDS)):
        read = reader.look(Kind.MANIFEST, [entry.id for entry in batch])
        for entry, found in zip(batch, read, strict=True):
            total = None
            with output.warning_of(NoObjectError, IntegrityError):
                if isinstance(found, Lost):
                    raise found.error()
                total = folders.of_manifest(decode_manifest(found))
            yield entry._replace(total=total)


def _with_members(
    entries: Iterable[_Entry], source: ManifestSource, output: Output
) -> Iterator[_Entry]:
    """Adds the members of each archive after it. One that cannot be read is told, and stays."""
    from casync.access.outline import open_outline
    from casync.ops.archive.list_members import members_inside

    for entry in entries:
        yield entry
        kinds = (NotFoundError, IntegrityError, UsageError, UnsupportedError)
        with output.warning_of(*kinds, about=entry.name or entry.id.hex()):
            outline = open_outline(entry.id, source)
            if outline.manifest.kind == "file":
                for member in members_inside(outline, source, entry.name or ""):
                    yield entry._replace(member=member)


def _print(output: Output, entries: Iterable[_Entry], show: ShowId, *, long: bool) -> None:
    if not long:
        listing = output.listing(hashes("hash"), Column("name"))
        for entry in entries:
            listing.row(show(entry.id), entry.text)
        return
    listing = output.listing(hashes("hash"), sizes("length"), moments("time"), Column("name"))
    for entry in entries:
        total, moment = entry.total, entry.created
        if entry.member is not None:
            total, moment = entry.member.length, entry.member.mtime
        listing.row(show(entry.id), total, format_moment(moment), entry.versioned)


def _fields(entry: _Entry) -> dict[str, object]:
    fields: dict[str, object] = {
        "manifest": entry.id.hex(),
        "name": entry.name,
        "version": entry.version,
        "length": entry.length,
        "total": entry.total,
        "created": format_moment(entry.created),
    }
    if entry.member is not None:
        from casync_cli.reports.members import member_fields

        fields |= {"total": None, **member_fields(entry.member)}
    return fields
