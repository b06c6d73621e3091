"""`casync prepare`: stores a file, a stream, a folder or a bucket."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from casync.errors import UsageError
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import AllowNetworkFs, ExpectDigest
from casync_cli.parsing.counts import parse_count, parse_sha256
from casync_cli.parsing.paths import parse_path
from casync_cli.parsing.signing_key import read_signer
from casync_cli.parsing.sizes import parse_size
from casync_cli.parsing.times import parse_duration
from casync_cli.reports.prepare import report_file, report_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casync.access.progress import Progress
    from casync.names.name import Name
    from casync.ops.prepare.file import PrepareOptions
    from casync.remote.buckets.base import BucketOptions
    from casync.store.lmdb.store import LmdbStore

DETAILS = (
    "FILE is a file, a block device, a folder or s3://BUCKET/PREFIX; without it, or with -, stdin"
    " is read. Content already in the store is not stored again, and a file unchanged since its "
    "last prepare is not read again. The hash depends only on the content and the chunk sizes; "
    "for a folder also on modes, times, owners, links and extended attributes."
)
EXAMPLES = (
    "casync prepare < vm.img",
    "casync prepare vm.img --name vm/2024-06",
    "casync prepare /srv/www --name www --exclude '*.tmp' --exclude /cache/",
    "zcat vm.img.gz | casync prepare --name vm/2024-06",
    "casync prepare s3://images/2024/ --name images",
)

_LEVELS = (1, 19)
"""zstd levels whose frames every reader can decode within its memory limit."""


def run(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file, folder or bucket.")] = "-",
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name the result.")
    ] = None,
    sign: Annotated[
        str | None,
        typer.Option(
            "--sign", metavar="KEY", help="Sign the name with the private key in this file."
        ),
    ] = None,
    chunk_size: Annotated[
        str | None,
        typer.Option("--chunk-size", metavar="AVG", help="Average chunk size.  [default: 16KiB]"),
    ] = None,
    zstd_level: Annotated[
        str | None,
        typer.Option("--zstd-level", metavar="N", help="Compression level, 1 to 19.  [default: 1]"),
    ] = None,
    expect: ExpectDigest = None,
    reread: Annotated[
        bool, typer.Option("--reread", help="Read files even if they seem unchanged.")
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="GLOB", help="Exclude, as in .gitignore; repeatable."),
    ] = None,
    exclude_regex: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude-regex", metavar="RE", help="Exclude paths that match this; repeatable."
        ),
    ] = None,
    one_file_system: Annotated[
        bool, typer.Option("--one-file-system", help="Store mount points as empty folders.")
    ] = False,
    allow_network_fs: AllowNetworkFs = False,
) -> None:
    """Runs the command."""
    from casync.names.name import parse_name

    invocation = invocation_of(ctx)
    source = _source(file)
    label = None if name is None else parse_name(name)
    signer = None if sign is None else read_signer(sign, invocation.warn_of)
    if signer is not None and label is None:
        raise UsageError("--sign signs a name", next_step="Give one with --name.")
    options = _options(label, chunk_size, zstd_level, expect, reread)
    invocation.resume = "Run the same command again; stored content is not stored again."

    @contextmanager
    def working() -> Iterator[tuple[LmdbStore, PrepareOptions, Progress]]:
        """The store, the options, and the progress to report to."""
        with (
            invocation.open_store(create=True, allow_network_fs=allow_network_fs) as store,
            invocation.progress() as progress,
        ):
            here = None if signer is None else partial(signer, store)
            yield store, replace(options, signer=here), progress

    patterns = {"exclude": exclude or (), "exclude_regex": exclude_regex or ()}
    if isinstance(source, str):
        from casync.buckets import prepare_s3
        from casync.ops.prepare.prepared import Prepared

        if one_file_system:
            raise UsageError("a bucket has no file systems", next_step="Drop --one-file-system.")
        with working() as (store, how, progress):
            access = _bucket_options(invocation)
            found = prepare_s3(source, store, how, **patterns, access=access, progress=progress)
        if isinstance(found, Prepared):
            report_file(invocation.output, found)
        else:
            report_folder(invocation.output, found)
        return
    if isinstance(source, Path) and source.is_dir():
        from casync import api

        with working() as (store, how, progress):
            folder = api.prepare_tree(
                source,
                store,
                how,
                **patterns,
                one_file_system=one_file_system,
                progress=progress,
            )
        report_folder(invocation.output, folder)
        return
    if exclude or exclude_regex or one_file_system:
        raise UsageError("--exclude, --exclude-regex and --one-file-system need a folder")
    from casync.cutting.process_memory import keep_freed_memory
    from casync.fs.source.file import open_source
    from casync.ops.prepare.file import prepare

    keep_freed_memory()
    with open_source(source) as opened, working() as (store, how, progress):
        prepared = prepare(opened, store, how, progress)
    report_file(invocation.output, prepared)


def _source(file: str) -> Path | BinaryIO | str:
    """The input: a path, a stream, or the URL of a bucket."""
    from casync.remote.buckets.open import is_address

    if is_address(file):
        return file
    if file != "-":
        return parse_path(file, "prepare")
    if sys.stdin is None:
        raise UsageError("nothing to prepare: stdin is closed", next_step="Name a file.")
    if sys.stdin.isatty():
        raise UsageError(
            "nothing to prepare: stdin is a terminal",
            next_step="Name a file, or run `casync prepare < FILE`.",
        )
    return sys.stdin.buffer


def _bucket_options(invocation: Invocation) -> BucketOptions:
    from casync.remote.buckets.base import BucketOptions

    config = invocation.config
    retry_for = parse_duration(str(invocation.settings["retry_for"].value))
    return BucketOptions(config.s3_endpoint, config.s3_ca, retry_for)


def _options(
    name: Name | None, chunk_size: str | None, level: str | None, expect: str | None, reread: bool
) -> PrepareOptions:
    from casync.objects.chunker import DEFAULT_PARAMS, ChunkerParams
    from casync.objects.codec import DEFAULT_LEVEL
    from casync.ops.prepare.file import PrepareOptions

    return PrepareOptions(
        params=ChunkerParams.from_average(parse_size(chunk_size)) if chunk_size else DEFAULT_PARAMS,
        level=parse_count(level, "--zstd-level", *_LEVELS) if level else DEFAULT_LEVEL,
        name=name,
        expect_sha256=None if expect is None else parse_sha256(expect),
        reread=reread,
    )
