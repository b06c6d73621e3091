"""Seams: joins cuts that were made in several spans at once into the one true sequence of cuts.

A span is cut as if it began at a cut, which it rarely does. But a cut depends only on the bytes up
to the next `max_size`, so two sequences that share one cut are equal from there on. A seam is
therefore joined by cutting on from the last true cut until a cut coincides with one of the span,
most often within three chunks. In repetitive data cuts may never coincide; then the whole span is
cut again, and no more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["join_cuts", "zero_chunks"]


def join_cuts(
    position: int, start: int, lengths: Sequence[int], cut: Callable[[int], int]
) -> tuple[int, int]:
    """Cuts on from a true cut until the span's cuts are true as well, or until its end.

    Args:
        position: The last true cut; all bytes before it are done.
        start: Where the span begins.
        lengths: The span's chunks, end to end; the last one may end beyond the span.
        cut: Cuts the true chunk at a position, and returns its length in bytes.

    Returns:
        The new last true cut, and the number of the span's chunks before it. The remaining chunks
        are true; none remains when no cut coincides.
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
    """The number of chunks between a true cut and the end of the zeros that follow it.

    Zeros are cut at the maximum, whatever the sizes (docs/FORMAT.md section 3.4).
    """
    return max(end - position, 0) // max_size
