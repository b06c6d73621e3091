"""What a store keeps of tokens, and that requiring them is never turned off."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from casync.errors import NotFoundError
from casync.names.token import TokenRow, TokenScope, parse_token
from casync.store.lmdb.reindex import reindex
from casync.store.lmdb.store import LmdbStore


def test_the_first_token_makes_tokens_required_for_good(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        assert store.tokens.known() == (False, {})
        text, row = store.tokens.issue(TokenScope.WRITE, ["a/"], expires=5, note="me")
        token = parse_token(text)
        assert token is not None
        assert (token.id, row.level, list(row.names)) == (row.id, TokenScope.WRITE, ["a/"])
        assert row.opens(token.secret)
        assert store.tokens.revoke(row.id).revoked > 0
        again = store.tokens.revoke(row.id)
        assert again == store.tokens.known().rows[row.id]
    for _ in range(2):
        with LmdbStore.open(path, read_only=True) as store:
            known = store.tokens.known()
            assert known.required
            assert not known.rows[row.id].lives(1)
        reindex(path)


class OldTokenRow(msgspec.Struct):
    """A token as a program before jobs reads it."""

    id: str
    level: int


@pytest.mark.parametrize(
    ("scope", "level"),
    [
        (TokenScope.READ, 1),
        (TokenScope.WRITE, 2),
        (TokenScope.JOBS, 2),
        (TokenScope.ADMIN, 3),
    ],
)
def test_a_program_before_jobs_takes_a_token_for_jobs_as_one_that_writes(
    path: Path, scope: TokenScope, level: int
) -> None:
    with LmdbStore.open(path, create=True) as store:
        _, row = store.tokens.issue(scope)
        assert store.tokens.known().rows[row.id].scope is scope
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=OldTokenRow)
    assert (old.id, old.level) == (row.id, level)


def test_an_unknown_level_allows_the_least() -> None:
    row = TokenRow("k3v9x0ab", bytes(32), 4, (), 0, 0, 0, "", jobs=True)
    assert row.scope is TokenScope.READ


def test_the_secret_is_nowhere_in_the_store(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        text, _ = store.tokens.issue(TokenScope.READ)
    token = parse_token(text)
    assert token is not None
    assert token.secret.encode() not in (path / "data.mdb").read_bytes()


def test_a_missing_token_cannot_be_revoked(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store, pytest.raises(NotFoundError):
        store.tokens.revoke("nobody00")
