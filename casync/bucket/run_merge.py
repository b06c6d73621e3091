"""Merges runs that follow each other into one that changes the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from casync.bucket.run import (
    CONDEMNED,
    GONE,
    RunRow,
    SegmentSize,
    TableChange,
    TableRun,
    part_key,
)
from casync.ids import Kind

__all__ = ["merge"]


def merge(runs: Sequence[TableRun], *, is_first: bool) -> TableRun:
    """Merges runs. Memory is a few times that of the runs, which `plan_merge` bounds.

    Args:
        runs: The oldest first, of one store.
        is_first: Whether no run precedes them, so that rows that delete have nothing to delete.
    """
    places: dict[SegmentSize, int] = {}
    merged: dict[Kind, dict[bytes, RunRow]] = {kind: {} for kind in Kind}
    changed: dict[tuple[str, bytes], bytes | None] = {}
    for run in runs:
        renumbered = [places.setdefault(segment, len(places)) for segment in run.segments]
        for kind, rows in run.rows.items():
            merged[kind].update(
                (row.id, row if row.segment == GONE else _moved(row, renumbered[row.segment]))
                for row in rows
            )
        changed.update(((table, key), value) for table, key, value in run.changes)
    kept: dict[Kind, list[RunRow]] = {
        kind: sorted(row for row in rows.values() if not is_first or row.segment != GONE)
        for kind, rows in merged.items()
    }
    changes: list[TableChange] = [
        (*place, value)
        for place, value in sorted(changed.items(), key=lambda item: item[0])
        if not is_first or value is not None
    ]
    condemned = {key for table, key in changed if table == CONDEMNED}
    segments, kept = _listed(list(places), kept, condemned)
    return TableRun(runs[0].store, segments, kept, changes)


def _listed(
    segments: list[SegmentSize], rows: dict[Kind, list[RunRow]], condemned: Collection[bytes]
) -> tuple[list[SegmentSize], dict[Kind, list[RunRow]]]:
    """Leaves out segments that were condemned. Others stay, so that all hosts know of them."""
    used = {row.segment for each in rows.values() for row in each}
    kept = [
        number
        for number, segment in enumerate(segments)
        if number in used or part_key(segment.part) not in condemned
    ]
    if len(kept) == len(segments):
        return segments, rows
    places = {old: new for new, old in enumerate(kept)} | {GONE: GONE}
    return [segments[old] for old in kept], {
        kind: [_moved(row, places[row.segment]) for row in each] for kind, each in rows.items()
    }


def _moved(row: RunRow, segment: int) -> RunRow:
    """A row whose segment has another place in the list."""
    return RunRow(row.id, segment, row.offset, row.stored, row.length, row.generation)
