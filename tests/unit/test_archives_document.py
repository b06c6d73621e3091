"""docs/ARCHIVES.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from casync.archives.detect import kind_of_name
from casync.archives.selection import MODES, member_selection
from casync.archives.writing.new_format import new_format_of
from casync.errors import UsageError
from casync.limits import (
    FREE_UNPACKED_BYTES,
    GIB,
    MAX_BATCH_ITEMS,
    MAX_LEFT_OUT_MEMBERS,
    MAX_MEMBERS,
    MAX_UNPACKED_RATIO,
)

TEXT = (Path(__file__).parents[2] / "docs" / "ARCHIVES.md").read_text()


def section(heading: str) -> str:
    return TEXT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def table(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, without its head and without backticks."""
    rows = [line for line in section(heading).splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows]


@pytest.mark.parametrize(("form", "endings", "_", "made", "__"), table("Formats"))
def test_formats(form: str, endings: str, _: str, made: str, __: str) -> None:
    """A1, A6."""
    for ending in endings.split(", "):
        assert str(kind_of_name(f"a{ending}")) == form
        try:
            new_format_of(f"a{ending}")
        except UsageError:
            assert made == "no"
        else:
            assert made == "yes"


@pytest.mark.parametrize(("option", "_", "text", "takes", "leaves"), table("Selections"))
def test_selections(option: str, _: str, text: str, takes: str, leaves: str) -> None:
    """A8."""
    mode = next(mode for mode in MODES if option == f"--{mode}")
    matches = member_selection(mode, text)
    assert (matches(takes.encode()), matches(leaves.encode())) == (True, False)


def test_all_selections_are_listed() -> None:
    assert [row[0] for row in table("Selections")] == [f"--{mode}" for mode in MODES]


def test_limits() -> None:
    said = set(map(int, re.findall(r"(?<![\w-])\d+", section("Limits"))))
    limits = {MAX_MEMBERS, MAX_BATCH_ITEMS, MAX_UNPACKED_RATIO, MAX_LEFT_OUT_MEMBERS}
    assert said - {3, 4} == limits | {FREE_UNPACKED_BYTES // GIB}
