"""Columns of data: exact and separated by tabs for programs; with heads and aligned for people.

Widths are fixed by the kind of a column, so rows are printed as they come, however many follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias
from unicodedata import east_asian_width

from casync.escape import escape, keep_exact
from casync.sizes import format_size

__all__ = [
    "SHORT_DIGITS",
    "Cell",
    "Column",
    "Listing",
    "cells",
    "counts",
    "cut_left",
    "fold",
    "hashes",
    "moments",
    "sizes",
]

Cell: TypeAlias = str | int | None
"""Text, a count or a size; None for a value that does not exist."""

_GAP: Final = "  "
_INDENT: Final = "    "
"""Before the fields of a row that do not fit on its first line."""

_MOMENT_WIDTH: Final = 20

SHORT_DIGITS: Final = 12
"""Digits of a hash for people, unless it takes more to tell it from others."""


class Column(NamedTuple):
    """A column.

    Attributes:
        head: Its head on a terminal.
        width: Characters that it takes on a terminal; longer values move the rest of their row.
        right: Whether values are aligned to the right.
        size: Whether values are numbers of bytes.
        exact_only: Whether a terminal does not show it.
    """

    head: str
    width: int = 0
    right: bool = False
    size: bool = False
    exact_only: bool = False


def sizes(head: str) -> Column:
    """A column of numbers of bytes."""
    return Column(head, 8, right=True, size=True)


def counts(head: str) -> Column:
    """A column of numbers."""
    return Column(head, 12, right=True)


def moments(head: str) -> Column:
    """A column of times, as `format_moment` writes them."""
    return Column(head, _MOMENT_WIDTH)


def hashes(head: str) -> Column:
    """A column of hashes, which are shortened on a terminal."""
    return Column(head, SHORT_DIGITS)


class Listing:
    """Rows of one command. The heads precede the first row, so nothing is printed without rows.

    Args:
        columns: The columns.
        write: Writes lines.
        width: Characters of a line of the terminal; None for a program.
    """

    def __init__(
        self, columns: Sequence[Column], write: Callable[[str], object], width: int | None
    ) -> None:
        self._columns = columns
        self._write = write
        self._width = width
        self._has_heads = False

    def row(self, *cells: Cell) -> None:
        """Prints a row: a cell for each column, from the first one on."""
        if self._width is None:
            self._write("\t".join(keep_exact(_exact(cell)) for cell in cells) + "\n")
            return
        if not self._has_heads:
            self._has_heads = True
            self._print([column.head for column in self._columns], self._width)
        shown = [
            format_size(cell) if column.size and isinstance(cell, int) else escape(_exact(cell))
            for column, cell in zip(self._columns, cells, strict=False)
        ]
        self._print(shown, self._width)

    def _print(self, texts: Sequence[str], width: int) -> None:
        fields = [
            _padded(text, column)
            for text, column in zip(texts, self._columns, strict=False)
            if not column.exact_only
        ]
        self._write(fold(fields, width))


def fold(fields: Sequence[str], width: int) -> str:
    """Lines of fields, which are never cut: what does not fit is put on further lines."""
    lines: list[str] = []
    line = ""
    for number, field in enumerate(fields):
        longer = f"{line}{_GAP}{field}" if number else field
        if number and field.strip() and cells(longer.rstrip()) > width:
            lines.append(line)
            longer = _INDENT + field.lstrip()
        line = longer
    return "".join(f"{each.rstrip()}\n" for each in [*lines, line])


def _exact(cell: Cell) -> str:
    return "" if cell is None else str(cell)


def _padded(text: str, column: Column) -> str:
    padding = " " * (column.width - cells(text))
    return padding + text if column.right else text + padding


def cells(text: str) -> int:
    """Cells of a terminal that `text` takes."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def cut_left(text: str, width: int) -> str:
    """The end of `text` in `width` cells, filled with spaces: the ends of names tell them apart."""
    if cells(text) <= width:
        return text + " " * (width - cells(text))
    kept = ""
    room = width - 1
    for character in reversed(text):
        room -= _cells_of(character)
        if room < 0:
            break
        kept = character + kept
    return f"…{kept}" + " " * (width - 1 - cells(kept))


def _cells_of(character: str) -> int:
    return 1 + (east_asian_width(character) in "WF")
