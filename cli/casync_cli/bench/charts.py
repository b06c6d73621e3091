"""The bars of a bench's page: small charts side by side, every bar labelled with its value.

Widths are in percent of what is there, so that the page needs no script to fit a screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["Bar", "bars", "stack"]

_FULL: Final = 100.0


class Bar(NamedTuple):
    """One bar.

    Attributes:
        name: What stands before it.
        parts: Values and the style that each has, from the left.
        label: What stands behind it.
        chosen: Whether it stands out.
    """

    name: str
    parts: Sequence[tuple[float, str]]
    label: str
    chosen: bool


def stack(parts: Sequence[tuple[float, str]], whole: float, style: str = "") -> str:
    """Values side by side, as parts of `whole`."""
    drawn, at = [], 0.0
    for value, kind in parts:
        width = _FULL * value / whole if whole else 0.0
        if width:
            drawn.append(f'<rect class="{kind}" x="{at:.3f}%" width="{width:.3f}%" height="100%"/>')
        at += width
    track = '<rect class="track" width="100%" height="100%"/>'
    return f'<svg class="{style}" aria-hidden="true">{track}{"".join(drawn)}</svg>'


def bars(title: str, rows: Sequence[Bar], most: float) -> str:
    """One chart.

    Args:
        title: What is shown, and in which unit. HTML.
        rows: The bars.
        most: The value of a bar of full width.
    """
    lines = [
        f'<div class="bar{" chosen" if row.chosen else ""}"><span>{row.name}</span>'
        f"{stack(row.parts, most)}<span>{row.label}</span></div>"
        for row in rows
    ]
    return f"<div><h3>{title}</h3>{''.join(lines)}</div>"
