"""Results of a prepare, for people and as JSON."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from casync.errors import SourceChangedError
from casync.sizes import format_count, format_size

if TYPE_CHECKING:
    from casync.names.name import NameRecord
    from casync.ops.prepare.prepared import FolderPrepared, Prepared
    from casync_cli.output import Output

__all__ = ["report_file", "report_folder"]


def report_file(output: Output, prepared: Prepared) -> None:
    """Prints the hash of a file, with statistics."""
    record = prepared.name
    if output.json_mode:
        output.document(
            "casync.prepare/1",
            {
                "manifest": prepared.manifest.hex(),
                "name": record.name if record else None,
                "version": record.version if record else None,
                "length": prepared.length,
                "chunks": prepared.chunks,
                "new": prepared.new,
                "reused": prepared.reused,
                "stored": prepared.stored,
                "unchanged": prepared.unchanged,
                "seconds": round(prepared.seconds, 3),
            },
        )
    else:
        output.row(prepared.manifest.hex())
    # The hash must be written before success is reported.
    output.flush()
    if prepared.unchanged:
        output.say(f"{format_size(prepared.length)}, unchanged since its last prepare")
    else:
        rate = prepared.length / max(prepared.seconds, 1e-3)
        output.say(
            f"{format_size(prepared.length)} in {format_count(prepared.chunks, 'chunk')}: "
            f"{prepared.new} new, "
            f"{prepared.reused} reused, {format_size(prepared.stored)} stored, "
            f"{format_size(int(rate))}/s"
        )
    _say_name(output, record)


def report_folder(output: Output, prepared: FolderPrepared) -> None:
    """Prints the hash of a folder, with statistics.

    Raises:
        SourceChangedError: Entries were left out. The report has been printed by then.
    """
    record = prepared.name
    if output.json_mode:
        output.document(
            "casync.prepare-folder/1",
            {
                "manifest": prepared.manifest.hex(),
                "name": record.name if record else None,
                "version": record.version if record else None,
                "files": prepared.files,
                "folders": prepared.folders,
                "others": prepared.others,
                "length": prepared.length,
                "unchanged": prepared.unchanged,
                "chunks": prepared.chunks,
                "new": prepared.new,
                "stored": prepared.stored,
                "left_out": [
                    {"path": os.fsdecode(path), "reason": reason}
                    for path, reason in prepared.left_out
                ],
                "sockets": prepared.sockets,
                "leftovers": prepared.leftovers,
                "bounded_times": prepared.bounded_times,
                "seconds": round(prepared.seconds, 3),
            },
        )
    else:
        output.row(prepared.manifest.hex())
    output.flush()
    count = prepared.unchanged
    unchanged = f"{format_count(count, 'file')} unchanged, " if count else ""
    output.say(
        f"{format_size(prepared.length)} in {format_count(prepared.files, 'file')} and "
        f"{format_count(prepared.folders, 'folder')}: {unchanged}"
        f"{format_size(prepared.stored)} stored"
    )
    if prepared.sockets:
        output.say(f"{format_count(prepared.sockets, 'socket')} left out")
    if prepared.leftovers:
        left = format_count(prepared.leftovers, "folder")
        output.say(f"warning: {left} .casync-part of interrupted pulls left out")
    if prepared.bounded_times:
        output.say(
            f"warning: {prepared.bounded_times} "
            f"{'time lies' if prepared.bounded_times == 1 else 'times lie'} outside of 1677 to "
            "2262 and became the nearest one"
        )
    _say_name(output, record)
    if prepared.left_out:
        step = "Run the same command again; stored content is not stored again."
        if any("permission denied" in one.reason.lower() for one in prepared.left_out):
            step = (
                "Run the command as a user who may read them, or leave them out with --exclude; "
                "stored content is not stored again."
            )
        raise SourceChangedError(
            f"left out {len(prepared.left_out)} of the files and folders: changed or unreadable",
            next_step=step,
        )


def _say_name(output: Output, record: NameRecord | None) -> None:
    if record is not None:
        output.say(f"named {record.name}@{record.version}")
