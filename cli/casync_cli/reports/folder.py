"""Results of a pull to a folder, for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casync.sizes import format_count, format_size
from casync_cli.output import Output
from casync_cli.parsing.times import format_duration
from casync_cli.reports.traffic import delta_fields, say_sources, seed_fields, traffic_fields

if TYPE_CHECKING:
    from casync.ops.pull_folder.pull import FolderPulled

__all__ = ["report_folder"]


def report_folder(output: Output, pulled: FolderPulled, out: str) -> None:
    """Reports a pull to a folder, and metadata that could not be set.

    Args:
        output: Prints the report.
        pulled: The result.
        out: The folder as typed.
    """
    if output.json_mode:
        output.document(
            "casync.pull-folder/1",
            {
                "manifest": pulled.manifest.hex(),
                "output": out,
                "files": pulled.files,
                "length": pulled.length,
                "kept": pulled.kept,
                "others": pulled.others,
                "removed": pulled.removed,
                "left_out": pulled.left_out,
                "skipped": pulled.skipped,
                "sources": pulled.sources,
                "seeds": seed_fields(pulled.seeds),
                **traffic_fields(pulled.traffic),
                **delta_fields(pulled.traffic),
                "seconds": round(pulled.seconds, 3),
            },
        )
    output.flush()
    others = "link or special file" if pulled.others == 1 else "links and special files"
    counts = [
        ("kept", pulled.kept),
        ("removed", pulled.removed),
        (f"{others} made", pulled.others),
    ]
    output.say(
        f"{out}: {format_count(pulled.files, 'file')} written, {format_size(pulled.length)}"
        f"{''.join(f', {count} {what}' for what, count in counts if count)}, "
        f"in {format_duration(pulled.seconds)}"
    )
    say_sources(output, pulled, out)
    if pulled.left_out:
        output.say(
            f"warning: devices and pipes left out: {pulled.left_out}; root makes them with --exact"
        )
    if pulled.skipped:
        skipped = ", ".join(f"{count} {what}" for what, count in sorted(pulled.skipped.items()))
        output.say(f"warning: metadata not set: {skipped}")
