"""The bars of a job on a terminal: one line in total, and one for each object that is fetched.

No line is wider than the terminal: what does not fit is left out, and names lose their beginning.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from casync.escape import escape
from casync.sizes import format_count, format_size
from casync_cli.columns import cells, cut_left
from casync_cli.parsing.times import format_duration
from casync_cli.reports.job import count_text, waiting_text

if TYPE_CHECKING:
    from casync.jobs.job import JobRow
    from casync_cli.reports.job_pace import JobFigures, ObjectFigures

__all__ = ["bar_lines", "plain_line"]

_MOST_LINES: Final = 16
"""Objects that are shown; the others are counted."""

_WAITING_LINES: Final = 3
"""Lines of objects that wait, with the reason; the others are counted."""

_GAP: Final = "  "
_SIZES: Final = 17
"""Cells of `1.00 MiB/1.00 GiB`."""
_LEFT: Final = 8
"""Cells of `12:34:56`."""
_SPEED: Final = 10
"""Cells of `1.00 MiB/s`."""
_NAME: Final = 18
"""Cells of a name that are worth more than a bar."""
_BAR: Final = 12
"""Cells of the shortest bar, with its brackets."""
_BAR_MOST: Final = 32
_TOTAL_BARS: Final = (10, 22)
_WIDE: Final = 99
"""Cells from which on the bar of the total is the longer one: figures tell more."""


def bar_lines(view: JobFigures, columns: int, rows: int) -> list[str]:
    """The lines, each of fewer than `columns` cells.

    Args:
        view: The job.
        columns: Width of the terminal.
        rows: Height of the terminal.
    """
    room = max(columns - 1, 1)
    below = max(rows - 2, 0)
    waiting = _waiting_lines(view.row, room, min(_WAITING_LINES, below // 3))
    most = max(min(below - len(waiting) - 1, _MOST_LINES), 0)
    shown = view.objects[:most]
    lines = [_object_line(each, room) for each in shown]
    if hidden := len(view.objects) - len(shown):
        lines.append(f"and {format_count(hidden, 'more file')}"[:room])
    return [_total_line(view, room), *lines, *waiting]


def _waiting_lines(row: JobRow, room: int, most: int) -> list[str]:
    """Why objects wait for another attempt, in at most `most` lines."""
    if not row.waiting or most < 1:
        return []
    now = time.time()
    shown = row.waiting[: most - (row.waiting_count > most and most > 1)]
    lines = [_cut_right(escape(waiting_text(each, now)), room) for each in shown]
    hidden = row.waiting_count - len(shown)
    if hidden and len(lines) < most:
        lines.append(_cut_right(f"and {format_count(hidden, 'more file')} waiting", room))
    return lines


def _cut_right(text: str, room: int) -> str:
    """The text, with its end cut off to fit."""
    while cells(text) > room:
        text = f"{text[:-2]}…"
    return text


def plain_line(view: JobFigures) -> str:
    """The line for a log: `Download progress: 64/141 (45.39%), 1.23 GiB, 12.3 MiB/s, 0:12 left`."""
    row = view.row
    figures = _figures(view) if row.total >= 0 else []
    if row.waiting:
        figures.append(f"waiting: {row.waiting_count} ({row.waiting[0].reason})")
    return ", ".join([f"Download progress: {count_text(row, view.listed)}", *figures])


def _figures(view: JobFigures) -> list[str]:
    counts = view.row.counts
    figures = [format_size(view.bytes)]
    if counts.failed:
        figures.append(f"errors: {counts.failed}")
    if view.speed is not None:
        figures.append(f"{format_size(int(view.speed))}/s")
    if view.left is not None:
        figures.append(f"{format_duration(view.left)} left")
    return figures


def _total_line(view: JobFigures, room: int) -> str:
    row = view.row
    if row.total < 0:
        return f"Listing: {format_count(view.listed, 'object')} so far"[:room]
    text = f"Files downloaded: {row.counts.finished + row.counts.skipped}/{row.total}"[:room]
    share = view.share
    width = _TOTAL_BARS[room >= _WIDE]
    bar = [] if share is None else [f"{_bar(share, width)} {int(share * 100):3}%"]
    size, *rest = _figures(view)
    for part in [*bar, *rest, size]:
        if len(text) + len(_GAP) + len(part) <= room:
            text += _GAP + part
    return text


def _object_line(each: ObjectFigures, room: int) -> str:
    size = "?" if each.size is None else format_size(each.size)
    sizes = f"{format_size(each.done)}/{size}".rjust(_SIZES)
    left = "" if each.left is None else format_duration(each.left)
    speed = "" if each.speed is None else f"{format_size(int(each.speed))}/s"
    fields = [sizes, left.rjust(_LEFT), speed.rjust(_SPEED)]
    while fields[1:] and _rest(fields, room) < _NAME:
        del fields[1]
    spare = _rest(fields, room) - _NAME - len(_GAP)
    if spare >= _BAR:
        width = min((spare + _BAR) // 2, _BAR_MOST)
        share = min(each.done / each.size, 1.0) if each.size else 0.0
        fields.insert(1, _bar(share, width) if each.size else " " * width)
    name = cut_left(escape(each.name), max(_rest(fields, room), 1))
    line = _GAP.join([name, *fields])
    return line if cells(line) <= room else line[:room]


def _rest(fields: list[str], room: int) -> int:
    """Cells that are left for the name."""
    return room - sum(len(_GAP) + len(field) for field in fields)


def _bar(share: float, width: int) -> str:
    inner = width - 2
    filled = int(share * inner)
    return f"[{'#' * filled}{'-' * (inner - filled)}]"
