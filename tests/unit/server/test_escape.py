"""Untrusted text is one printable line."""

from casync_server.escape import escape
from hypothesis import given
from hypothesis import strategies as st


def test_what_terminals_would_obey_is_shown() -> None:
    assert escape("a\x1b[31mb") == "a\\x1b[31mb"
    assert escape("a\nb\r") == "a\\x0ab\\x0d"
    assert escape("\udcff") == "\\xff"
    assert escape("\u202e") == "\\xe2\\x80\\xae"
    assert escape("grün/24.04") == "grün/24.04"


def test_it_is_cut() -> None:
    assert escape("x" * 100, limit=10) == "x" * 10 + "..."


@given(st.text(alphabet=st.characters()))
def test_always_printable(text: str) -> None:
    assert escape(text).isprintable()
    escape(text).encode()
