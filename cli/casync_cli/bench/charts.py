"""Bar charts of the bench page: small charts side by side, each bar labelled with its value.

Widths are percentages, so the page fits any screen without a script.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["Bar", "bars", "stack"]

_FULL: Final = 100.0


class Bar(NamedTuple):
    """One bar.

    Attributes:
        name: Label before the bar.
        parts: Values with their styles, from the left.
        label: Label after the bar.
        chosen: Whether the bar is highlighted.
    """

    name: str
    parts: Sequence[tuple[float, str]]
    label: str
    chosen: bool


def stack(parts: Sequence[tuple[float, str]], whole: float, style: str = "") -> str:
    """Draws values side by side, as parts of `whole`."""
    drawn, at = [], 0.0
    for value, kind in parts:
        width = _FULL * value / whole if whole else 0.0
        if width:
            drawn.append(f'<rect class="{kind}" x="{at:.3f}%" width="{width:.3f}%" height="100%"/>')
        at += width
    track = '<rect class="track" width="100%" height="100%"/>'
    return f'<svg class="{style}" aria-hidden="true">{track}{"".join(drawn)}</svg>'


def bars(title: str, rows: Sequence[Bar], most: float) -> str:
    """Draws one chart.

    Args:
        title: Title with the unit, as HTML.
        rows: The bars.
        most: The value of a full-width bar.
    """
    lines = [
        f'<div class="bar{" chosen" if row.chosen else ""}"><span>{row.name}</span>'
        f"{stack(row.parts, most)}<span>{row.label}</span></div>"
        for row in rows
    ]
    return f"<div><h3>{title}</h3>{''.join(lines)}</div>"
