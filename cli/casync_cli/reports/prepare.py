"""Results of a prepare, for people and as JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from casync.errors import CasyncError, SourceChangedError
from casync.sizes import format_count, format_size

if TYPE_CHECKING:
    from casync.names.name import NameRecord
    from casync.ops.prepare.prepared import FolderPrepared, LeftOut, Prepared
    from casync_cli.output import Output

__all__ = ["Report"]


class Report:
    """Reports the inputs of one command in order: a line for each, or one JSON document.

    Args:
        output: Prints the report.
        inputs: All inputs as typed.
        is_repeatable: Whether what was left out may be there the next time.
    """

    def __init__(
        self, output: Output, inputs: Sequence[str], *, is_repeatable: bool = True
    ) -> None:
        self._is_repeatable = is_repeatable
        self._output = output
        self._count = len(inputs)
        self._results: list[dict[str, object]] = []
        self._failures: list[CasyncError] = []

    def take(self, file: str, prepared: Prepared | FolderPrepared) -> None:
        """Reports one input.

        Raises:
            SourceChangedError: It is the only input, and entries of the folder were left out.
        """
        from casync.ops.prepare.prepared import Prepared

        output = self._output
        result: dict[str, object] = {"file": file}
        if not output.json_mode:
            output.row(prepared.manifest.hex())
        else:
            schema, fields = _document(prepared)
            result |= {"schema": schema, **fields}
            if self._count == 1:
                output.document(schema, fields)
        # The hash must be written before success is reported.
        output.flush()
        label = f"{file}: " if self._count > 1 else ""
        left_out: list[LeftOut] = []
        if isinstance(prepared, Prepared):
            _say_file(output, label, prepared)
        else:
            left_out = prepared.left_out
            _say_folder(output, label, prepared)
        if prepared.name is not None:
            output.say(f"named {prepared.name.name}@{prepared.name.version}")
        if left_out:
            self._failed(result, _incomplete(left_out, is_repeatable=self._is_repeatable))
        self._results.append(result)

    def fail(self, file: str, error: CasyncError) -> None:
        """Reports an input that could not be prepared.

        Raises:
            CasyncError: `error`, if it is the only input.
        """
        result: dict[str, object] = {"file": file}
        self._failed(result, error)
        self._results.append(result)

    def finish(self) -> None:
        """Ends the report.

        Raises:
            CasyncError: Of the class of the first failure, if any input failed.
        """
        if self._output.json_mode and self._count > 1:
            self._output.document("casync.prepare-list/1", {"results": self._results})
            self._output.flush()
        if self._failures:
            first = self._failures[0]
            raise type(first)(
                f"{len(self._failures)} of {self._count} inputs failed; the first: {first.message}",
                next_step=first.next_step,
            )

    def _failed(self, result: dict[str, object], error: CasyncError) -> None:
        if self._count == 1:
            raise error
        self._failures.append(error)
        self._output.say(f"{result['file']}: {error.message}")
        result["error"] = {"code": error.code, "message": error.message}


def _incomplete(left_out: Sequence[LeftOut], *, is_repeatable: bool) -> SourceChangedError:
    """The error for a folder of which something was left out: what helps depends on why."""
    denied = sum("permission denied" in one.reason.lower() for one in left_out)
    steps = []
    if denied:
        steps.append(
            "Run the command as a user who may read them, or leave them out with --exclude."
        )
    if not is_repeatable:
        steps = ["The tree has all other members of the archive."]
    elif denied < len(left_out):
        steps.append("Run the same command again; stored content is not stored again.")
    why = f"; {denied} for want of permission" if denied else ""
    return SourceChangedError(
        f"{format_count(len(left_out), 'path')} left out{why}", next_step=" ".join(steps)
    )


def _document(prepared: Prepared | FolderPrepared) -> tuple[str, dict[str, object]]:
    """The schema and the fields of a result."""
    from casync.ops.prepare.prepared import Prepared

    if isinstance(prepared, Prepared):
        return "casync.prepare/1", _file_fields(prepared)
    return "casync.prepare-folder/1", _folder_fields(prepared)


def _file_fields(prepared: Prepared) -> dict[str, object]:
    return {
        "manifest": prepared.manifest.hex(),
        **_name_fields(prepared.name),
        "length": prepared.length,
        "chunks": prepared.chunks,
        "new": prepared.new,
        "reused": prepared.reused,
        "stored": prepared.stored,
        "unchanged": prepared.unchanged,
        "seconds": round(prepared.seconds, 3),
    }


def _folder_fields(prepared: FolderPrepared) -> dict[str, object]:
    left_out = [{"path": os.fsdecode(path), "reason": reason} for path, reason in prepared.left_out]
    return {
        "manifest": prepared.manifest.hex(),
        **_name_fields(prepared.name),
        "files": prepared.files,
        "folders": prepared.folders,
        "others": prepared.others,
        "length": prepared.length,
        "added": prepared.added,
        "changed": prepared.changed,
        "unchanged": prepared.unchanged,
        "chunks": prepared.chunks,
        "new": prepared.new,
        "new_length": prepared.new_length,
        "stored": prepared.stored,
        "left_out": left_out,
        "sockets": prepared.sockets,
        "leftovers": prepared.leftovers,
        "bounded_times": prepared.bounded_times,
        "seconds": round(prepared.seconds, 3),
    }


def _name_fields(record: NameRecord | None) -> dict[str, object]:
    return {
        "name": record.name if record else None,
        "version": record.version if record else None,
    }


def _say_file(output: Output, label: str, prepared: Prepared) -> None:
    if prepared.unchanged:
        output.say(f"{label}{format_size(prepared.length)}, unchanged since its last prepare")
        return
    rate = prepared.length / max(prepared.seconds, 1e-3)
    output.say(
        f"{label}{format_size(prepared.length)} in {format_count(prepared.chunks, 'chunk')}: "
        f"{prepared.new} new, {prepared.reused} reused, "
        f"{format_size(prepared.stored)} stored, {format_size(int(rate))}/s"
    )


def _say_folder(output: Output, label: str, prepared: FolderPrepared) -> None:
    counts = [
        f"{count} {what}"
        for count, what in (
            (prepared.added, "new"),
            (prepared.changed, "changed"),
            (prepared.unchanged, "unchanged"),
        )
        if count
    ]
    output.say(
        f"{label}{format_size(prepared.length)} in {format_count(prepared.files, 'file')} and "
        f"{format_count(prepared.folders, 'folder')}: {', '.join(counts)}{'; ' if counts else ''}"
        f"{format_size(prepared.new_length)} new, {format_size(prepared.stored)} stored"
    )
    if prepared.sockets:
        output.say(f"{format_count(prepared.sockets, 'socket')} left out")
    if prepared.leftovers:
        left = format_count(prepared.leftovers, "leftover")
        output.say(f"warning: {left} of interrupted pulls left out")
    if prepared.bounded_times:
        output.say(
            f"warning: {format_count(prepared.bounded_times, 'time')} outside of 1677 to 2262 "
            "became the nearest one"
        )
