"""What a store keeps of tokens, and that requiring them is never turned off."""

from __future__ import annotations

from pathlib import Path

import pytest

from casync.errors import NotFoundError
from casync.names.token import TokenScope, parse_token
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


def test_the_secret_is_nowhere_in_the_store(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store:
        text, _ = store.tokens.issue(TokenScope.READ)
    token = parse_token(text)
    assert token is not None
    assert token.secret.encode() not in (path / "data.mdb").read_bytes()


def test_a_missing_token_cannot_be_revoked(path: Path) -> None:
    with LmdbStore.open(path, create=True) as store, pytest.raises(NotFoundError):
        store.tokens.revoke("nobody00")
