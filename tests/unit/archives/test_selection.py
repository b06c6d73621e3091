"""Selections of members by their paths."""

from __future__ import annotations

import pytest

from casync.archives.selection import SelectionMode, member_selection, sample_key
from casync.errors import UsageError

PATHS = (b"train/7.seg.png", b"train/7.txt", b"train/70.txt", b"val/7.txt", b"README", b"a/.hidden")


@pytest.mark.parametrize(
    ("mode", "text", "selected"),
    [
        ("prefix", "train/", PATHS[:3]),
        ("prefix", "/train/7.", PATHS[:2]),
        ("prefix", "", PATHS),
        ("suffix", ".txt", PATHS[1:4]),
        ("substr", "/7", PATHS[:4]),
        ("regex", r"7\.", (*PATHS[:2], PATHS[3])),
        ("regex", r"^[A-Z]+$", (b"README",)),
        ("wdskey", "train/7", PATHS[:2]),
        ("wdskey", "/val/7", (b"val/7.txt",)),
        ("wdskey", "", ()),
    ],
)
def test_each_mode_selects_the_paths_that_it_describes(
    mode: SelectionMode, text: str, selected: tuple[bytes, ...]
) -> None:
    """A8: prefix, suffix, substring, regular expression and key of a WebDataset sample."""
    is_selected = member_selection(mode, text)
    assert tuple(filter(is_selected, PATHS)) == selected


def test_a_regular_expression_matches_names_that_are_not_utf_8() -> None:
    assert member_selection("regex", r"^a.b$")(b"a\xffb")


def test_a_bad_regular_expression_is_named() -> None:
    with pytest.raises(UsageError, match=r"'\(' is not a regular expression"):
        member_selection("regex", "(")


def test_a_sample_key_ends_at_the_first_dot_of_the_last_name() -> None:
    assert sample_key(b"v1.2/7.seg.png") == b"v1.2/7"
    assert sample_key(b"README") == b""
    assert sample_key(b"a/.hidden") == b""
