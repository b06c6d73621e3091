"""`casync archive append`: adds files to an archive, as a new version of its name."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from casync.errors import NoStoreError, UsageError
from casync.sizes import format_count, format_size
from casync_cli.completion import complete_name
from casync_cli.invocation import invocation_of
from casync_cli.parsing.counts import parse_count
from casync_cli.parsing.paths import parse_path

if TYPE_CHECKING:
    from casync.ops.archive.added_members import OnDuplicate
    from casync.ops.archive.append import Appended
    from casync.ops.archive.create import ArchiveInput
    from casync.store.lmdb.store import LmdbStore
    from casync_cli.invocation import Invocation
    from casync_cli.output import Output

DETAILS = (
    "NAME is a tar, tgz, zip or MessagePack file. Its next version has the new members and shares "
    "all earlier chunks. FILE is a file, or a folder with what is below it; the member gets the "
    "last name of its path. - is stdin. Several may append at the same time; no member is lost. "
    "Prints the hash."
)
EXAMPLES = (
    "casync archive append shards/0001.tar 7.jpg 7.cls",
    "casync archive append logs.tgz app.log --as 2024-06-01/app.log --create",
    "casync archive append all.zip ./more/ --on-duplicate replace",
    "curl -s https://example.com/x | casync archive append a.msgpack - --as x",
)

_MOST_VERSIONS = 10**18 - 1


def run(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The archive.", autocompletion=complete_name)
    ],
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Files and folders to add, or -.")
    ],
    place: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="PATH", help="The path of the member, or with / at its end, its folder."
        ),
    ] = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make the archive, and the store, if there is none.")
    ] = False,
    on_duplicate: Annotated[
        str | None,
        typer.Option(
            "--on-duplicate",
            metavar="WHAT",
            help="If a member is there: error, replace it or keep it.  [default: error]",
        ),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect", metavar="N", help="Fail unless version N is the newest; 0 for a new name."
        ),
    ] = None,
) -> None:
    """Runs the command."""
    from casync.names.name import parse_name
    from casync.ops.archive.append import AppendOptions, append_to_archive

    invocation = invocation_of(ctx)
    label = parse_name(name)
    options = AppendOptions(
        on_duplicate=_on_duplicate(on_duplicate or "error"),
        creates=create,
        expected=None if expect is None else parse_count(expect, "--expect", 0, _MOST_VERSIONS),
    )
    invocation.resume = f"{label} is as it was; run the same command again."
    with _store(invocation, create=create) as store, invocation.progress() as progress:
        given = _input(store, files, place)
        appended = append_to_archive(label, given, store, options, progress)
    _report(invocation.output, appended)


def _store(invocation: Invocation, *, create: bool) -> LmdbStore:
    try:
        return invocation.open_store(create=create)
    except NoStoreError as error:
        if create or not error.next_step:  # which says how a store is made
            raise
        raise NoStoreError(
            error.message, next_step="--create makes it, and the archive."
        ) from error


def _on_duplicate(text: str) -> OnDuplicate:
    from casync.ops.archive.added_members import OnDuplicate

    try:
        return OnDuplicate(text)
    except ValueError as error:
        raise UsageError(
            f"--on-duplicate {text} is none of {', '.join(OnDuplicate)}",
            next_step="See casync archive append --help.",
        ) from error


def _input(store: LmdbStore, files: list[str], place: str | None) -> ArchiveInput:
    from casync.archives.member import place_of_text
    from casync.ops.archive.files_input import FilesInput, StreamInput

    path = None if place is None else place_of_text(place)
    is_folder = place is not None and place.endswith("/")
    if len(files) > 1 and ("-" in files or (path is not None and not is_folder)):
        raise UsageError(
            "stdin and --as go with one member only",
            next_step="Append them one by one, or give a folder: --as PATH/.",
        )
    if files != ["-"]:
        own = os.stat(store.path)
        paths = [parse_path(file, "archive append") for file in files]
        avoid = frozenset([(own.st_dev, own.st_ino)])
        if path is not None and is_folder:
            return FilesInput(paths, None, avoid, below=path + b"/")
        return FilesInput(paths, path, avoid)
    if path is None or is_folder:
        raise UsageError("stdin has no name", next_step="Give one with --as.")
    if sys.stdin is None or sys.stdin.isatty():
        what = "closed" if sys.stdin is None else "a terminal"
        raise UsageError(f"nothing to append: stdin is {what}", next_step="Name a file.")
    return StreamInput(sys.stdin.buffer, path)


def _report(output: Output, appended: Appended) -> None:
    record, plan = appended.record, appended.plan
    if output.json_mode:
        output.document(
            "casync.archive-append/1",
            {
                "name": record.name,
                "version": record.version,
                "manifest": record.manifest.hex(),
                "files": plan.files,
                "folders": plan.folders,
                "links": plan.links,
                "plain": plan.plain,
                "replaced": appended.replaced,
                "kept": appended.kept,
                "left_out": plan.left_out,
                "length": appended.length,
                "new": appended.new,
                "stored": appended.stored,
            },
        )
        return
    output.row(record.manifest.hex())
    output.flush()
    what = [format_count(plan.files, "file")]
    what += [format_count(plan.folders, "folder")] if plan.folders else []
    what += [format_count(plan.links, "symbolic link")] if plan.links else []
    sizes = f"{format_size(plan.plain)}, {format_size(appended.length)} in all"
    output.say(f"{', '.join(what)}: {sizes}; stored {format_size(appended.stored)}")
    if appended.replaced:
        output.say(f"replaced {format_count(appended.replaced, 'member')}")
    if appended.kept:
        output.say(f"{format_count(appended.kept, 'file')} skipped: there already")
    if plan.left_out:
        left = format_count(plan.left_out, "entry")
        output.say(f"warning: {left} left out: devices, pipes, sockets, or leftovers of pulls")
    output.say(f"named {record.name}@{record.version}")
