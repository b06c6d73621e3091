"""Spans: content that is cut in several places at once, and the one sequence of cuts in the end.

Whoever cuts a span cuts as if it began at a cut, which it rarely does. But the next cut depends on
nothing but the bytes up to the next `max_size`, so two sequences that share one cut are equal from
there on. A seam is therefore joined by cutting on from the last true cut until a cut coincides with
one of the span, most often within three chunks. Data that repeats may never coincide; then all of
the span is cut again, and no more than that. Must not know who cuts, or how bytes are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["join_cuts", "zero_chunks"]


def join_cuts(
    position: int, start: int, lengths: Sequence[int], cut: Callable[[int], int]
) -> tuple[int, int]:
    """Cuts on from a true cut until the cuts of a span are true, too, or until its end.

    Args:
        position: The last true cut, at or before which all is done.
        start: Where the span begins.
        lengths: The span's chunks, end to end, the last one of which may end beyond the span.
        cut: Cuts one true chunk that begins where it is told, and says how long it is.

    Returns:
        The new last true cut, and how many of the span's chunks lie before it: the others are
        true. All of them when no cut coincides.
    """
    there = start
    passed = 0
    while True:
        while there < position and passed < len(lengths):
            there += lengths[passed]
            passed += 1
        if there <= position:
            return position, passed
        position += cut(position)


def zero_chunks(position: int, end: int, max_size: int) -> int:
    """How many chunks lie between a true cut and the end of the zeros that follow it.

    Zeros are cut at the maximum, whatever the sizes (docs/FORMAT.md section 3.4).
    """
    return max(end - position, 0) // max_size
