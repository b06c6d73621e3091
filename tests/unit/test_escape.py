"""Text that controls a terminal or misleads a reader is escaped."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casync.escape import escape, keep_exact, keep_unicode


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 漢字", "plain ünïcode 漢字"),
        ("[red]x[/red]", "[red]x[/red]"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
        ("\x9b31m", "\\xc2\\x9b31m"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("\ud800", "\\xed\\xa0\\x80"),
        ("gnp\u202e.exe", "gnp\\xe2\\x80\\xae.exe"),
        ("in\u200bvisible", "in\\xe2\\x80\\x8bvisible"),
    ],
)
def test_unprintable_characters_become_bytes(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(st.text(alphabet=st.characters()))
def test_escaped_text_is_one_printable_line(text: str) -> None:
    assert escape(text).isprintable()


@given(st.text(alphabet=st.characters()))
def test_exact_text_has_no_control_characters_and_is_unicode(text: str) -> None:
    kept = keep_exact(text)
    kept.encode()
    assert not any(c < " " or "\x7f" <= c < "\xa0" for c in kept)


def test_exact_text_keeps_the_joiners_of_a_name() -> None:
    assert keep_exact("a\u200db") == "a\u200db"


@given(st.binary())
def test_any_path_can_be_json(path: bytes) -> None:
    text = keep_unicode(os.fsdecode(path))
    assert json.loads(json.dumps(text)).encode().decode() == text
