"""`casync show`: describes a manifest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import NoObjectError, UsageError
from casync.ids import Kind, ManifestId
from casync.sizes import format_count, format_size
from casync_cli.columns import Column, counts, sizes
from casync_cli.completion import complete_ref
from casync_cli.invocation import invocation_of
from casync_cli.output import Output

if TYPE_CHECKING:
    from casync.ops.inspect.show import Statistics
    from casync.store.base import ObjectSource

DETAILS = (
    "Counts the chunks of REF: all, distinct ones, bytes of zeros, and a histogram of sizes. "
    "`stored` is the size in the store, and what a receiver without any data would fetch; it may "
    "be shared with other content."
)
EXAMPLES = ("casync show vm/2024-06", "casync show HASH --digest sha256 --json")

_BAR_WIDTH = 24


def run(
    ctx: typer.Context,
    ref: Annotated[
        str,
        typer.Argument(
            metavar="REF",
            help="A hash, its prefix in a local store, or a name.",
            autocompletion=complete_ref,
        ),
    ],
    digest: Annotated[
        str | None,
        typer.Option(
            "--digest", metavar="sha256", help="Also read the content and print its digest."
        ),
    ] = None,
) -> None:
    """Runs the command."""
    invocation = invocation_of(ctx)
    output = invocation.output
    if digest not in (None, "sha256"):
        raise UsageError(f"--digest takes sha256, not {digest}")
    from casync.access.content_file import read_range
    from casync.access.outline import open_outline
    from casync.names.name import parse_ref
    from casync.ops.inspect.show import show

    parsed = parse_ref(ref)
    if parsed.path is not None:
        raise UsageError(f"{ref} has a path; show takes a whole manifest")
    with invocation.source() as source, invocation.progress() as progress:
        found = show(source.resolve(parsed), source, progress)
        sha256 = None
        total = _total(found.manifest, source, is_remote=bool(invocation.remote.server))
        if digest is not None and not found.missing:
            if found.kind != "file":
                raise UsageError(f"{ref} is a folder, not a file; it has no digest")
            progress.start("reading", found.length)
            hasher = hashlib.sha256()
            outline = open_outline(found.manifest, source)
            for piece in read_range(outline, source, 0, found.length):
                hasher.update(piece)
                progress.advance(len(piece))
            sha256 = f"sha256:{hasher.hexdigest()}"
    if output.json_mode:
        _document(output, found, total, sha256)
    else:
        _print(output, found, total, sha256)
    if found.missing:
        raise NoObjectError(
            f"{found.manifest.hex()} lacks {format_count(found.missing, 'object')}",
            next_step="`casync verify` names them.",
        )


def _total(ident: ManifestId, source: ObjectSource, *, is_remote: bool) -> int | None:
    """Bytes of the file or of all files in the folder; None if not all of it can be read."""
    from casync.objects.folder_sizes import FolderSizes
    from casync.objects.manifest import decode_manifest
    from casync.store.proved import ProvedReader
    from casync_cli.reports.tree import READS_OF_SERVER

    reader = ProvedReader(source)
    manifest = decode_manifest(reader.one(Kind.MANIFEST, ident))
    try:
        most = READS_OF_SERVER if is_remote else None
        return FolderSizes(reader.plain, most).of_manifest(manifest)
    except NoObjectError:
        return None


def _document(output: Output, found: Statistics, total: int | None, digest: str | None) -> None:
    params = found.params
    output.document(
        "casync.show/1",
        {
            "manifest": found.manifest.hex(),
            "kind": found.kind,
            "length": found.length,
            "total": total,
            "chunks": found.chunks,
            "distinct": found.distinct,
            "zero": found.zero,
            "nodes": found.nodes,
            "stored": found.stored,
            "missing": found.missing,
            "chunker": {
                "algorithm": params.algorithm,
                "min": params.min_size,
                "avg": params.avg_size,
                "max": params.max_size,
            },
            "histogram": [
                {"length": length, "chunks": count} for length, count in found.histogram.items()
            ],
            "digest": digest,
        },
    )


def _print(output: Output, found: Statistics, total: int | None, digest: str | None) -> None:
    params = found.params
    bounds = (params.min_size, params.avg_size, params.max_size)
    rows = [
        ("manifest", found.manifest.hex(), found.manifest.hex()),
        ("kind", found.kind, found.kind),
        ("length", str(found.length), _size(found.length)),
        *([] if total in (None, found.length) else [("total", str(total), _size(total))]),
        ("chunks", str(found.chunks), str(found.chunks)),
        ("distinct", str(found.distinct), str(found.distinct)),
        ("zero", str(found.zero), _size(found.zero)),
        ("nodes", str(found.nodes), str(found.nodes)),
        ("stored", str(found.stored), _size(found.stored)),
        (
            "chunker",
            " ".join([params.algorithm, *map(str, bounds)]),
            f"{params.algorithm}, {', '.join(map(format_size, bounds))}",
        ),
    ]
    if digest is not None:
        rows.append(("digest", digest, digest))
    output.table(rows)
    most = max(found.histogram.values(), default=1)
    listing = output.listing(sizes("from"), counts("chunks"), Column(""))
    for length, count in found.histogram.items():
        if output.to_terminal:
            listing.row(length, count, "#" * max(count * _BAR_WIDTH // most, 1))
        else:
            output.row("histogram", str(length), str(count))


def _size(count: int) -> str:
    exact = format_count(count, "byte")
    return f"{exact} ({format_size(count)})" if count >= 1024 else exact
