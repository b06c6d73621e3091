"""Tokens: their form, and when they are valid."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from casync.names.token import Token, TokenRow, TokenScope, digest_of, format_token, parse_token

ID, SECRET = "k3v9x0ab", "A" * 21 + "_-" + "z" * 20
ROW = TokenRow(ID, digest_of(SECRET), TokenScope.READ, (), 100, 0, 0, "")


def test_a_token_is_read_as_it_is_shown() -> None:
    token = Token(ID, SECRET)
    assert format_token(token) == f"cas1_{ID}_{SECRET}"
    assert parse_token(format_token(token)) == token


@given(st.text())
def test_nothing_else_is_a_token(text: str) -> None:
    token = parse_token(text)
    assert token is None or format_token(token) == text


def test_only_its_own_secret_opens_a_token() -> None:
    assert ROW.opens(SECRET)
    assert not ROW.opens(SECRET[:-1] + "y")
    assert not ROW.opens("")
    assert SECRET.encode() not in ROW.digest


def test_when_a_token_is_valid() -> None:
    assert ROW.lives(10**10)
    assert not replace(ROW, revoked=1).lives(100)
    assert replace(ROW, expires=200).lives(199.9)
    assert not replace(ROW, expires=200).lives(200)


def test_which_names_a_token_may_see() -> None:
    assert ROW.allows("anything")
    bound = replace(ROW, names=("builds/", "vm/*-06", "one"))
    for name in ("builds/x", "builds/x/y", "vm/2024-06", "one"):
        assert bound.allows(name)
    for name in ("builds", "vm/2024-07", "one/two", "ones", ""):
        assert not bound.allows(name)
