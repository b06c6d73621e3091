"""`casync archive create`: makes an archive of a folder, or of what the store has."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from casync.errors import NoNameError, NotFoundError, UsageError
from casync.sizes import format_count, format_size
from casync_cli.completion import complete_ref
from casync_cli.invocation import invocation_of
from casync_cli.options import AllowNetworkFs, DryRun, Regex, Substr, Suffix, WdsKey
from casync_cli.parsing.paths import parse_path
from casync_cli.parsing.selections import parse_selection

if TYPE_CHECKING:
    from casync.names.name import Name
    from casync.ops.archive.create import ArchiveInput, ArchivePlan
    from casync.ops.archive.list_members import Selection
    from casync.ops.archive.listed_refs import ListedRefs
    from casync.ops.prepare.prepared import Prepared
    from casync.store.lmdb.store import LmdbStore
    from casync_cli.output import Output

DETAILS = (
    "NAME ends in .tar, .tgz, .tar.gz, .zip or .msgpack, which is the format. A DIR begins with / "
    "or ., or ends in /; its entries are the members, with their modes and times. A REF to a file "
    "is a member under its name, and a REF to a folder gives its entries; one alone with owners, "
    "exact times and attributes, unless --portable is given. REF: and REF:PATH/ give the members "
    "of an archive, or of a folder in it. --suffix, --substr, --regex and --wdskey select among "
    "these members. The same members give the same bytes. Prints the hash."
)
EXAMPLES = (
    "casync archive create shards/a.tar ./images/",
    "casync archive create shards/a.tgz --template 'images/{0000..0999}.jpg'",
    "casync archive create all.zip photos/1.jpg photos/2.jpg notes.tar:readme.txt",
    "casync archive create all.msgpack --prefix photos/",
    "casync archive create labels.tar shards/0001.tar: shards/0002.tgz:train/ --suffix .cls",
)


def run(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The name of the archive, with its ending.")
    ],
    members: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DIR|REF",
            help="A folder on disk, or what is in the store.",
            autocompletion=complete_ref,
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template", metavar="T", help="Names such as a/{000..140}; missing ones are skipped."
        ),
    ] = None,
    list_file: Annotated[
        str | None,
        typer.Option(
            "--list", metavar="FILE", help="A list of refs in JSON or lines, or - for stdin."
        ),
    ] = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", metavar="P", help="All names that begin with this.")
    ] = None,
    suffix: Suffix = None,
    substr: Substr = None,
    regex: Regex = None,
    wdskey: WdsKey = None,
    portable: Annotated[
        bool,
        typer.Option(
            "--portable", help="Of one REF to a folder: no owners, devices or attributes."
        ),
    ] = False,
    dry_run: DryRun = False,
    allow_network_fs: AllowNetworkFs = False,
) -> None:
    """Runs the command."""
    from casync.archives.writing.new_format import new_format_of
    from casync.names.name import parse_name
    from casync.ops.archive.create import create_archive, plan_archive
    from casync.ops.archive.folder_input import FolderInput
    from casync.ops.prepare.file import PrepareOptions

    invocation = invocation_of(ctx)
    label, made = parse_name(name), new_format_of(name)
    ways = [one for one in (members or None, template, list_file, prefix) if one is not None]
    if len(ways) != 1:
        raise UsageError(
            "an archive is made from one of: DIR, REF…, --template, --list, --prefix",
            next_step="See casync archive create --help.",
        )
    folder = _folder(members or [])
    selection = parse_selection(None, suffix, substr, regex, wdskey)
    if folder is not None and selection.text:
        raise UsageError(
            f"--{selection.mode} selects from what is in the store",
            next_step=f"Prepare {folder} under a name, and give that name.",
        )
    creates = folder is not None and not dry_run
    invocation.resume = f"{label} is as it was; run the same command again."
    if folder is not None:
        FolderInput(folder).require()
    opened = partial(invocation.open_store, create=creates, allow_network_fs=allow_network_fs)
    with (
        invocation.readable_store(keeps_indexes=True) if dry_run else opened() as store,
        invocation.progress() as progress,
    ):
        given = _input(
            store, label, folder, members or [], portable, template, list_file, prefix, selection
        )
        with _meant_folders(members or []):
            plan = plan_archive(made, given)
        is_chosen = folder is None and (not members or bool(selection.text))
        if is_chosen and not (plan.files or plan.folders or plan.links):
            raise NotFoundError(
                f"nothing is selected for {label}",
                next_step="`casync ls` lists names, `casync archive ls REF` members.",
            )
        prepared = None
        if not dry_run:
            options = PrepareOptions(name=label)
            prepared = create_archive(made, given, plan, store, options, progress)
    _report(invocation.output, label, plan, prepared)


@contextmanager
def _meant_folders(members: list[str]) -> Iterator[None]:
    """Offers the folder on disk, where a name that is not here is that of one."""
    try:
        yield
    except NoNameError as error:
        for one in members:
            if os.path.isdir(one):
                error.next_step = f"For the folder {one} on this machine write ./{one}."
        raise


def _folder(members: list[str]) -> Path | None:
    """The folder on disk among the arguments; `REF:PATH/` is none."""
    folders = [
        one
        for one in members
        if one.startswith(("/", ".")) or (one.endswith("/") and ":" not in one)
    ]
    if not folders:
        return None
    if len(members) > 1:
        raise UsageError(
            f"{folders[0]} is a folder on disk, which is the only input of an archive",
            next_step="Prepare it under a name, and give that name with the other refs.",
        )
    return parse_path(folders[0], "archive create")


def _input(
    store: LmdbStore,
    label: Name,
    folder: Path | None,
    members: list[str],
    portable: bool,
    template: str | None,
    list_file: str | None,
    prefix: str | None,
    selection: Selection,
) -> ArchiveInput:
    from casync.names.name import parse_ref
    from casync.ops.archive.folder_input import FolderInput
    from casync.ops.archive.store_input import (
        StoreInput,
        names_below,
        refs_of_texts,
        whole_refs,
    )

    if folder is not None:
        own = os.stat(store.path)
        return FolderInput(folder, frozenset([(own.st_dev, own.st_ino)]))
    given = partial(StoreInput, store, selection=selection)
    if template is not None:
        from casync.jobs.template import parse_template
        from casync.limits import MAX_MEMBERS

        texts = parse_template(template)
        if texts.is_endless:
            raise UsageError(
                f"the template {template} has no end", next_step="Write a range: {0000..0999}."
            )
        if len(texts) > MAX_MEMBERS:
            raise UsageError(
                f"the template {template} has {len(texts)} texts; an archive has at most"
                f" {MAX_MEMBERS} members",
                next_step="--prefix takes all names that are there.",
            )
        return given(
            lambda: refs_of_texts((text, None) for text in texts),
            template,
            skips_missing=True,
        )
    if list_file is not None:
        listed = _listed(list_file)
        return given(lambda: refs_of_texts(listed), list_file)
    if prefix is not None:
        return given(lambda: names_below(store, prefix, label), prefix, skips_missing=True)
    refs = [parse_ref(text) for text in members]
    return given(lambda: whole_refs(refs, portable=portable), " ".join(members))


def _listed(text: str) -> ListedRefs:
    """The refs of a list, each with the path that it shall get, or None."""
    from casync.fs.source.file import open_source
    from casync.jobs.object_list import read_object_list
    from casync.ops.archive.listed_refs import ListedRefs

    path = None if text == "-" else parse_path(text, "--list")
    with ExitStack() as stack:
        given: Path | BinaryIO = path or sys.stdin.buffer
        if path is not None and path.is_fifo():
            given = stack.enter_context(path.open("rb"))
        with open_source(given) as source:
            blocks = (block for block in source.blocks() if isinstance(block, bytes))
            listed = ListedRefs((one.target, one.name) for one in read_object_list(blocks))
    if not listed:
        raise UsageError("the list is empty", next_step="Write one ref on each line.")
    return listed


def _report(output: Output, name: Name, plan: ArchivePlan, prepared: Prepared | None) -> None:
    record = None if prepared is None else prepared.name
    length = plan.length if prepared is None else prepared.length
    if output.json_mode:
        output.document(
            "casync.archive-create/1",
            {
                "name": name,
                "version": None if record is None else record.version,
                "manifest": None if prepared is None else prepared.manifest.hex(),
                "files": plan.files,
                "folders": plan.folders,
                "links": plan.links,
                "plain": plan.plain,
                "length": length,
                "missing": plan.missing,
                "left_out": plan.left_out,
                "chunks": 0 if prepared is None else prepared.chunks,
                "new": 0 if prepared is None else prepared.new,
                "stored": 0 if prepared is None else prepared.stored,
            },
        )
        return
    if prepared is not None:
        output.row(prepared.manifest.hex())
        output.flush()
    what = [format_count(plan.files, "file"), format_count(plan.folders, "folder")]
    what += [format_count(plan.links, "symbolic link")] if plan.links else []
    size = "" if length is None else f", {format_size(length)} in all"
    output.say(f"{', '.join(what)}: {format_size(plan.plain)}{size}")
    if plan.missing:
        output.say(f"{format_count(plan.missing, 'ref')} skipped: there is nothing under them")
    if plan.left_out:
        left = format_count(plan.left_out, "entry")
        output.say(f"warning: {left} left out: devices, pipes, sockets, or leftovers of pulls")
    if record is not None:
        output.say(f"named {record.name}@{record.version}")
