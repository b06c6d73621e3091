"""`casync prepare`: stores files, a stream, folders, URLs or buckets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Self, TypeAlias

import typer

from casync.errors import (
    CasyncError,
    DamagedStoreError,
    LockedError,
    NoSpaceError,
    StoppedError,
    UsageError,
    WriteError,
)
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import AllowNetworkFs, ExpectDigest, SignKey
from casync_cli.parsing.counts import parse_count, parse_sha256
from casync_cli.parsing.paths import parse_path
from casync_cli.parsing.signing_key import read_signer
from casync_cli.parsing.sizes import parse_size
from casync_cli.reports.prepare import Report

if TYPE_CHECKING:
    from casync.access.naming import Signer
    from casync.names.name import Name
    from casync.ops.prepare.file import PrepareOptions
    from casync.ops.prepare.prepared import FolderPrepared, Prepared
    from casync.store.lmdb.store import LmdbStore

DETAILS = (
    "FILE is a file, a block device, a folder, a URL of a web server, or s3://BUCKET/PREFIX (also "
    "gs:// and az://), where a slash at the end names a folder; without it, or with -, stdin"
    " is read. Content already in the store is not stored again, and a file unchanged since its "
    "last prepare is not read again. The hash depends only on the content and the chunk sizes; "
    "for a folder also on modes, times, owners, links and extended attributes."
)
EXAMPLES = (
    "casync prepare < vm.img",
    "casync prepare vm.img --name vm/2024-06",
    "casync prepare *.img",
    "casync prepare /srv/www --name www --exclude '*.tmp' --exclude /cache/",
    "zcat vm.img.gz | casync prepare --name vm/2024-06",
    "casync prepare s3://images/2024/ --name images",
    "casync prepare https://host/images/ --name images",
    "casync prepare --unpack linux-6.9.tgz --name linux",
)

_Input: TypeAlias = Path | BinaryIO | str
"""What to prepare: a path, a stream, or an address."""

_LEVELS = (1, 19)
"""zstd levels whose frames every reader can decode within its memory limit."""


def run(
    ctx: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="The files, folders, URLs or buckets."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name the result.")
    ] = None,
    sign: SignKey = None,
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
        bool,
        typer.Option("--reread", help="Read files even if they seem unchanged, and mend chunks."),
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
    unpack: Annotated[
        bool, typer.Option("--unpack", help="Store the members of an archive as a folder.")
    ] = False,
    allow_network_fs: AllowNetworkFs = False,
) -> None:
    """Runs the command."""
    from casync.names.name import parse_name

    invocation = invocation_of(ctx)
    invocation.output.outlive_reader()
    texts = files or ["-"]
    _check_several(texts, {"--name": name, "--sign": sign, "--expect": expect})
    sources = [_source(text) for text in texts]
    label = None if name is None else parse_name(name)
    signer = None if sign is None else read_signer(sign, invocation.warn_of)
    if signer is not None and label is None:
        raise UsageError("--sign signs a name", next_step="Give one with --name.")
    options = _options(label, chunk_size, zstd_level, expect, reread)
    invocation.resume = "Run the same command again; stored content is not stored again."
    work = _Work(
        invocation,
        partial(invocation.open_store, create=True, allow_network_fs=allow_network_fs),
        options,
        signer,
        {"exclude": exclude or (), "exclude_regex": exclude_regex or ()},
        one_file_system=one_file_system,
        unpack=unpack,
    )
    work.check(sources)
    with work:
        report = Report(invocation.output, texts, is_repeatable=not unpack)
        for text, source in zip(texts, sources, strict=True):
            try:
                report.take(text, work.prepare(source))
            except CasyncError as error:
                if work.is_stuck or isinstance(error, _OF_THE_STORE):
                    raise
                report.fail(text, error)
        report.finish()


_OF_THE_STORE = (DamagedStoreError, LockedError, NoSpaceError, StoppedError, WriteError)
"""Errors that end the command. Others are about one input, and the next ones are prepared."""


def _check_several(texts: list[str], named: dict[str, str | None]) -> None:
    """Refuses options for one input with several.

    Raises:
        UsageError: Such an option is given, or stdin is named twice.
    """
    if texts.count("-") > 1:
        raise UsageError("- is stdin, which can be prepared once")
    for option, value in named.items():
        if value is not None and len(texts) > 1:
            raise UsageError(
                f"{option} takes one FILE, not {len(texts)}",
                next_step="Prepare them one by one, or the folder that holds them.",
            )


class _Work:
    """Prepares one input after the other into one store, which the first one opens.

    Attributes:
        is_stuck: The store cannot be opened.
    """

    def __init__(
        self,
        invocation: Invocation,
        open_store: Callable[[], LmdbStore],
        options: PrepareOptions,
        signer: Signer | None,
        patterns: dict[str, Sequence[str]],
        *,
        one_file_system: bool,
        unpack: bool,
    ) -> None:
        self._invocation = invocation
        self._open_store = open_store
        self._options = options
        self._signer = signer
        self._patterns = patterns
        self._one_file_system = one_file_system
        self._unpack = unpack
        self._stack = ExitStack()
        self.is_stuck = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def check(self, sources: Sequence[_Input]) -> None:
        """Compares the options with the inputs, before any is read.

        Raises:
            UsageError: An input does not take an option.
        """
        for source in sources:
            if isinstance(source, str) and self._one_file_system:
                raise UsageError(
                    f"{source} has no file systems", next_step="Drop --one-file-system."
                )
            is_folder = isinstance(source, Path) and source.is_dir()
            if self._unpack and (is_folder or self._one_file_system):
                raise UsageError(
                    "--unpack takes archives, not folders and their file systems",
                    next_step="Drop --unpack.",
                )
            is_folder = is_folder or isinstance(source, str) or self._unpack
            if not is_folder and (any(self._patterns.values()) or self._one_file_system):
                raise UsageError("--exclude, --exclude-regex and --one-file-system need a folder")

    def prepare(self, source: _Input) -> Prepared | FolderPrepared:
        """Prepares one input.

        Raises:
            CasyncError: As `prepare`, `prepare_tree`, `prepare_url` and `prepare_archive`.
        """
        from casync.cutting.process_memory import keep_freed_memory

        keep_freed_memory()
        if self._unpack:
            return self._archive(source)
        if isinstance(source, str):
            return self._url(source)
        if isinstance(source, Path) and source.is_dir():
            return self._folder(source)
        return self._file(source)

    def _url(self, address: str) -> Prepared | FolderPrepared:
        from casync.sources import prepare_url

        access = self._invocation.source_options(address)
        with self._invocation.progress() as progress:
            return prepare_url(
                address, self._store, self._how, **self._patterns, access=access, progress=progress
            )

    def _archive(self, source: _Input) -> FolderPrepared:
        from casync.sources import prepare_archive

        access = self._invocation.source_options(source if isinstance(source, str) else "")
        with self._invocation.progress() as progress:
            return prepare_archive(
                source, self._store, self._how, **self._patterns, access=access, progress=progress
            )

    def _folder(self, path: Path) -> FolderPrepared:
        from casync import api

        with self._invocation.progress() as progress:
            return api.prepare_tree(
                path,
                self._store,
                self._how,
                **self._patterns,
                one_file_system=self._one_file_system,
                progress=progress,
            )

    def _file(self, source: Path | BinaryIO) -> Prepared:
        from casync.access.outline import open_outline
        from casync.fs.source.file import open_source
        from casync.ops.prepare.file import prepare

        with open_source(source) as opened, self._invocation.progress() as progress:
            prepared = prepare(opened, self._store, self._how, progress)
        if prepared.unchanged and self._invocation.output.json_mode:
            chunks = open_outline(prepared.manifest, self._store).chunk_count()
            return prepared._replace(chunks=chunks, reused=chunks)
        return prepared

    @cached_property
    def _store(self) -> LmdbStore:
        self.is_stuck = True
        store = self._stack.enter_context(self._open_store())
        self.is_stuck = False
        return store

    @property
    def _how(self) -> PrepareOptions:
        signer = None if self._signer is None else partial(self._signer, self._store)
        return replace(self._options, signer=signer)


def _source(file: str) -> _Input:
    """The input: a path, a stream, or an address."""
    from casync.remote.sources.open import is_address

    if is_address(file):
        path = file.removeprefix("file://")
        return file if path == file else parse_path(path, "file://")
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
        mend=reread,
    )
