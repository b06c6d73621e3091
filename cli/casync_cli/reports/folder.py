"""What a pull into a folder did, or would do, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casync.sizes import format_size
from casync_cli.output import Output
from casync_cli.parsing.times import format_duration
from casync_cli.reports.traffic import delta_fields, say_sources, traffic_fields

if TYPE_CHECKING:
    from casync.ops.pull_folder.pull import FolderPulled

__all__ = ["report_folder"]


def report_folder(output: Output, pulled: FolderPulled, out: str) -> None:
    """Says what was done, and what could not be given to files.

    Args:
        output: Where to say it.
        pulled: What was done.
        out: The folder as it was typed.
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
                **traffic_fields(pulled.traffic),
                **delta_fields(pulled.traffic),
                "seconds": round(pulled.seconds, 3),
            },
        )
    output.flush()
    output.say(
        f"{out}: {pulled.files} files written, {format_size(pulled.length)}; {pulled.kept} kept, "
        f"{pulled.others} links and others made, {pulled.removed} removed, in "
        f"{format_duration(pulled.seconds)}"
    )
    say_sources(output, pulled.sources, pulled.traffic)
    if pulled.left_out:
        output.say(
            f"warning: {pulled.left_out} devices and pipes left out; root makes them with --exact"
        )
    if pulled.skipped:
        skipped = ", ".join(f"{count} {what}" for what, count in sorted(pulled.skipped.items()))
        output.say(f"warning: could not be set: {skipped}")
