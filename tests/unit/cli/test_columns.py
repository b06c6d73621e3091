"""Columns for programs and for people."""

from __future__ import annotations

import io

import pytest
from casync_cli.columns import Column, Listing, fold, hashes, sizes

COLUMNS = (hashes("hash"), sizes("length"), Column("content", exact_only=True), Column("name"))
ROWS = [("0123456789ab", 2048, "c", "first"), ("ba9876543210", None, None, "second")]


def shown(width: int | None) -> list[str]:
    out = io.StringIO()
    listing = Listing(COLUMNS, out.write, width)
    for row in ROWS:
        listing.row(*row)
    return out.getvalue().splitlines()


def test_programs_get_exact_values_without_heads() -> None:
    assert shown(None) == ["0123456789ab\t2048\tc\tfirst", "ba9876543210\t\t\tsecond"]


def test_people_get_heads_units_and_aligned_columns() -> None:
    assert shown(80) == [
        "hash            length  name",
        "0123456789ab  2.00 KiB  first",
        "ba9876543210            second",
    ]


def test_no_rows_have_no_heads() -> None:
    out = io.StringIO()
    Listing(COLUMNS, out.write, 80)
    assert out.getvalue() == ""


def test_a_row_may_end_early() -> None:
    out = io.StringIO()
    Listing(COLUMNS, out.write, None).row("0123456789ab", 1)
    assert out.getvalue() == "0123456789ab\t1\n"


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (16, ["aaaa  bbbb  cccc"]),
        (15, ["aaaa  bbbb", "    cccc"]),
        (9, ["aaaa", "    bbbb", "    cccc"]),
        (1, ["aaaa", "    bbbb", "    cccc"]),
    ],
)
def test_fields_that_do_not_fit_are_moved_whole(width: int, lines: list[str]) -> None:
    assert fold(["aaaa", "bbbb", "cccc"], width).splitlines() == lines


def test_empty_fields_take_no_lines() -> None:
    assert fold(["aaaa", "", "    "], 6) == "aaaa\n"


def test_wide_characters_count_twice() -> None:
    assert fold(["名前", "x"], 7) == "名前  x\n"
    assert fold(["名前", "x"], 6) == "名前\n    x\n"
