"""`casync archive get`: writes a member of an archive, or several, or all below a folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final

import typer

from casync.errors import UsageError
from casync_cli.completion import complete_ref
from casync_cli.invocation import Invocation, invocation_of
from casync_cli.options import DryRun, Mime, Prefix, Regex, Substr, Suffix, WdsKey
from casync_cli.parsing.paths import parse_path
from casync_cli.parsing.selections import parse_selection
from casync_cli.terminal_text import text_only

if TYPE_CHECKING:
    from casync.access.archive import Archive
    from casync.access.progress import Progress
    from casync.names.name import Ref
    from casync.ops.archive.extract_plan import ExtractPlan
    from casync.ops.archive.list_members import Selection
    from casync.store.base import ManifestSource

DETAILS = (
    "Reads only what the member needs, also from a server. FILE is replaced once the whole member "
    "is there. Without -o it goes to a file with the name of the member. --extract writes all "
    "members of REF, or of the folder PATH in it, below DIR and nothing outside it. The "
    "selections choose some of them; without --extract these go to FILE as one tar."
)
EXAMPLES = (
    "casync archive get shards/0001.tar:train/7.jpg",
    "casync archive get shards/0001.tar:train/7.cls -o -",
    "casync archive get www:backup/site.zip/css/site.css -o old.css --server URL",
    "casync archive get shards/0001.tar:train --extract ./train",
    "casync archive get shards/0001.tgz --suffix .cls -o - | tar t",
)

_NOT_HERE: Final = "Write it to a file with -o FILE, or pipe it into a program."


def run(
    ctx: typer.Context,
    ref: Annotated[
        str,
        typer.Argument(
            metavar="REF[:PATH]",
            help="A member of an archive; an archive, or a folder in it.",
            autocompletion=complete_ref,
        ),
    ],
    out: Annotated[
        str | None, typer.Option("-o", metavar="FILE", help="Where to write it; - for stdout.")
    ] = None,
    extract: Annotated[
        str | None, typer.Option("--extract", metavar="DIR", help="Write members below a folder.")
    ] = None,
    prefix: Prefix = None,
    suffix: Suffix = None,
    substr: Substr = None,
    regex: Regex = None,
    wdskey: WdsKey = None,
    mime: Mime = None,
    dry_run: DryRun = False,
) -> None:
    """Runs the command."""
    from casync.names.name import parse_ref

    invocation = invocation_of(ctx)
    selection = parse_selection(prefix, suffix, substr, regex, wdskey)
    parsed = parse_ref(ref)
    if extract is not None and out is not None:
        raise UsageError("-o and --extract do not go together", next_step="Give one of them.")
    if extract is None and not selection.text and not parsed.path:
        raise UsageError(
            f"{ref} names no member",
            next_step=f"`casync archive ls {ref}` lists them; --extract DIR writes all.",
        )
    kept = "Files in DIR are whole; run" if extract is not None else "FILE is as it was; run"
    invocation.resume = f"{kept} the same command again."
    with invocation.source(keeps_indexes=True) as source:
        if extract is not None:
            _extract(invocation, parsed, source, selection, extract, mime, dry_run=dry_run)
        elif selection.text:
            _write_tar(invocation, parsed, source, selection, out, mime, dry_run=dry_run)
        else:
            _write_member(invocation, parsed, source, out, mime, dry_run=dry_run)


def _write_member(
    invocation: Invocation,
    ref: Ref,
    source: ManifestSource,
    out: str | None,
    mime: str | None,
    *,
    dry_run: bool,
) -> None:
    from casync.access.archive import MemberContent
    from casync.access.locate import open_file
    from casync.archives.detect import check_type
    from casync.ops.archive.write_blocks import write_blocks

    started = time.monotonic()
    place = out if out is not None else (ref.path or "").rstrip("/").rpartition("/")[2]
    target = _target(invocation, place, dry_run=dry_run)
    with invocation.progress() as progress:
        content = open_file(ref, source, progress=progress)
        if mime is not None and isinstance(content, MemberContent):
            check_type(content.kind, mime)
        if not dry_run:
            blocks = content.read(0, content.length)
            if place == "-" and invocation.output.to_terminal:
                blocks = text_only(blocks, str(ref), _NOT_HERE)
            write_blocks(blocks, content.length, target, progress)
    _report(invocation, place, started, files=1, length=content.length, dry_run=dry_run)


def _write_tar(
    invocation: Invocation,
    ref: Ref,
    source: ManifestSource,
    selection: Selection,
    out: str | None,
    mime: str | None,
    *,
    dry_run: bool,
) -> None:
    from casync.ops.archive.chosen import Choice
    from casync.ops.archive.member_input import MembersTar
    from casync.ops.archive.write_blocks import write_blocks

    started = time.monotonic()
    if out is None:
        raise UsageError(
            "several members go to one tar, or below a folder",
            next_step="Name the tar with -o FILE or -o -, or the folder with --extract DIR.",
        )
    target = _target(invocation, out, dry_run=dry_run)
    if out == "-" and invocation.output.to_terminal and not dry_run:
        raise UsageError("a tar is binary data, and stdout is a terminal", next_step=_NOT_HERE)
    with invocation.progress() as progress:
        archive, inside = _opened(ref, source, mime, progress)
        tar = MembersTar(Choice(archive, inside, selection), _label(ref, inside))
        if not dry_run:
            write_blocks(tar.blocks(), tar.length, target, progress)
    _report(
        invocation,
        out,
        started,
        files=tar.plan.files,
        folders=tar.plan.folders,
        links=tar.plan.links,
        length=tar.length,
        left_out=tar.plan,
        dry_run=dry_run,
    )


def _extract(
    invocation: Invocation,
    ref: Ref,
    source: ManifestSource,
    selection: Selection,
    directory: str,
    mime: str | None,
    *,
    dry_run: bool,
) -> None:
    from casync.ops.archive.chosen import Choice
    from casync.ops.archive.extract import extract, plan_extraction

    started = time.monotonic()
    target = parse_path(directory, "--extract")
    skipped: dict[str, int] = {}
    with invocation.progress() as progress:
        archive, inside = _opened(ref, source, mime, progress)
        choice, label = Choice(archive, inside, selection), _label(ref, inside)
        if dry_run:
            plan = plan_extraction(choice, label, target)
        else:
            plan, skipped, _ = extract(choice, label, target, progress)
    _report(
        invocation,
        directory,
        started,
        files=plan.files,
        folders=plan.folders,
        links=plan.links,
        length=plan.length,
        left_out=plan,
        skipped=skipped,
        dry_run=dry_run,
    )


def _opened(
    ref: Ref, source: ManifestSource, mime: str | None, progress: Progress
) -> tuple[Archive, bytes]:
    """The archive that a ref leads to or into, of the given type, and the path in it."""
    from casync.archives.detect import check_type
    from casync.ops.archive.list_members import archive_and_path

    archive, inside = archive_and_path(ref, source, progress=progress)
    if mime is not None:
        check_type(archive.kind, mime)
    return archive, inside


def _label(ref: Ref, inside: bytes) -> str:
    """The ref of the archive that a ref leads into."""
    if not inside:
        return str(ref).rstrip(":")
    return str(ref).rstrip("/").removesuffix(os.fsdecode(inside)).rstrip(":/")


def _target(invocation: Invocation, place: str, *, dry_run: bool) -> Path | BinaryIO:
    if place != "-":
        return parse_path(place, "-o")
    if invocation.output.json_mode and not dry_run:
        raise UsageError("--json and -o - cannot share stdout")
    return invocation.output.binary


def _report(
    invocation: Invocation,
    place: str,
    started: float,
    *,
    length: int,
    dry_run: bool,
    files: int = 0,
    folders: int = 0,
    links: int = 0,
    left_out: ExtractPlan | None = None,
    skipped: dict[str, int] | None = None,
) -> None:
    from casync.sizes import format_count, format_size
    from casync_cli.parsing.times import format_duration
    from casync_cli.reports.left_out import left_out_names, say_left_out

    output, seconds = invocation.output, time.monotonic() - started
    if output.json_mode:
        output.document(
            "casync.archive-get/1",
            {
                "output": place,
                "files": files,
                "folders": folders,
                "links": links,
                "length": length,
                "left_out": 0 if left_out is None else left_out.left_out,
                "left_out_names": left_out_names(left_out.left_out_names if left_out else ()),
                "skipped": skipped or {},
                "seconds": round(seconds, 3),
            },
        )
    output.flush()
    counts = [(files, "file"), (folders, "folder"), (links, "link")]
    what = ", ".join(format_count(count, name) for count, name in counts if count)
    took = "" if dry_run else f" in {format_duration(seconds)}"
    output.say(f"{'stdout' if place == '-' else place}: {what}, {format_size(length)}{took}")
    if left_out is not None and left_out.left_out:
        say_left_out(output, left_out.left_out, left_out.left_out_names)
    if skipped:
        rest = ", ".join(f"{count} {what}" for what, count in sorted(skipped.items()))
        output.say(f"warning: metadata not set: {rest}")
