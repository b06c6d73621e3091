"""The map of the bench page: shows where each part of the new file comes from.

The file is laid out as lines of cells, read like text. Each cell is a stacked bar: the height of
each colour is the share of bytes with that origin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from casync.planning.origins import ByteOrigin, OriginMap
from casync.sizes import format_size

__all__ = ["ORIGINS", "draw_map"]

ORIGINS: Final = {
    ByteOrigin.SAME: "in the old file, same place",
    ByteOrigin.MOVED: "in the old file, elsewhere",
    ByteOrigin.REPEAT: "repeats within the new file",
    ByteOrigin.ZERO: "zeros",
    ByteOrigin.TRAVEL: "not in the old file",
}
"""Labels of the origins."""

_COLUMNS: Final = 128
_HIGH: Final = 100
_LOWEST: Final = 7
"""Lowest height of a layer, out of `_HIGH`: even a few bytes stay visible."""

_PILE: Final = (
    ByteOrigin.TRAVEL,
    ByteOrigin.REPEAT,
    ByteOrigin.MOVED,
    ByteOrigin.SAME,
    ByteOrigin.ZERO,
)
"""Order of the layers, from bottom to top."""


class _Layer(NamedTuple):
    """The layer of one origin in a cell, from `top` downwards."""

    origin: ByteOrigin
    top: int
    height: int


def draw_map(origins: OriginMap) -> str:
    """The map as HTML: a grid of two columns, offsets and lines."""
    cells = origins.cells
    columns = min(len(cells), _COLUMNS)
    lines = []
    for start in range(0, len(cells), max(columns, 1)):
        line = cells[start : start + columns]
        offset = start * origins.cell_bytes
        lines.append(
            f"<span>{format_size(offset)}</span>"
            f'<svg viewBox="0 0 {columns} {_HIGH}" preserveAspectRatio="none">'
            f"{''.join(_paths(line))}{''.join(_tips(origins, start, line))}</svg>"
        )
    return f'<div class="map">{"".join(lines)}</div>'


def _pile(cell: Sequence[int]) -> list[_Layer]:
    """The layers of one cell, from the bottom."""
    counts = dict(zip(ByteOrigin, cell, strict=True))
    total = max(sum(cell), 1)
    heights = {origin: count * _HIGH // total for origin, count in counts.items()}
    for origin in (ByteOrigin.TRAVEL, ByteOrigin.REPEAT, ByteOrigin.MOVED):
        if counts[origin]:
            heights[origin] = max(heights[origin], _LOWEST)
    largest = max(heights, key=lambda origin: heights[origin])
    heights[largest] += _HIGH - sum(heights.values())
    layers, top = [], _HIGH
    for origin in _PILE:
        if heights[origin]:
            top -= heights[origin]
            layers.append(_Layer(origin, top, heights[origin]))
    return layers


def _paths(line: Sequence[Sequence[int]]) -> Iterator[str]:
    """Yields one path per origin of a line; equal neighbours share one rectangle."""
    drawn: dict[ByteOrigin, list[str]] = {}
    at = 0
    for pile, group in groupby(map(_pile, line)):
        width = len(list(group))
        for origin, top, height in pile:
            drawn.setdefault(origin, []).append(f"M{at} {top}h{width}v{height}h-{width}z")
        at += width
    for origin, steps in drawn.items():
        yield f'<path class="{origin.value}" d="{"".join(steps)}"/>'


def _tips(origins: OriginMap, start: int, line: Sequence[Sequence[int]]) -> Iterator[str]:
    """Yields the tooltips of a line; neighbours with equal shares have one tooltip."""
    at = 0
    for shares, group in groupby(map(_shares, line)):
        width = len(list(group))
        begin = (start + at) * origins.cell_bytes
        end = min((start + at + width) * origins.cell_bytes, origins.length)
        parts = "\n".join(f"{part} % {ORIGINS[origin]}" for origin, part in shares)
        yield (
            f'<rect class="tip" x="{at}" width="{width}" height="{_HIGH}"><title>'
            f"{format_size(begin)} to {format_size(end)}\n{parts}</title></rect>"
        )
        at += width


def _shares(cell: Sequence[int]) -> tuple[tuple[ByteOrigin, str], ...]:
    total = max(sum(cell), 1)
    return tuple(
        (origin, f"{max(100 * count / total, 0.1):.3g}")
        for origin, count in zip(ByteOrigin, cell, strict=True)
        if count
    )
