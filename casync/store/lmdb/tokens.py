"""The tokens of a store, and whether it requires any.

The first token turns that on, and nothing turns it off again: a store whose last token is revoked
or expired admits no client.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from casync.errors import DamagedStoreError, NotFoundError
from casync.ids import Buffer
from casync.names.token import (
    Token,
    TokenRow,
    TokenScope,
    digest_of,
    format_token,
    stored_level,
)
from casync.store.lmdb.data_file.plain_reads import data_file
from casync.store.lmdb.data_file.trees import whole_rows
from casync.store.lmdb.environment import Environment, Txn

__all__ = ["META_AUTH", "KnownTokens", "Tokens", "decode_token", "known_tokens"]

META_AUTH: Final = b"auth"
"""The row of `meta` whose presence means that tokens are required."""

_ID_LETTERS: Final = string.ascii_lowercase + string.digits
_ID_LENGTH: Final = 8
_SECRET_BYTES: Final = 32
_DATABASES: Final = ("tokens", "namespace_tokens")
"""Tokens of the default namespace, and those of others. A program without namespaces must not find
the latter and take them for tokens of the default one."""

_ROW_BYTES: Final = 64 * 1024  # upper bound of what a commit of one row writes


class KnownTokens(NamedTuple):
    """The tokens at one moment.

    Attributes:
        required: Whether the store requires tokens.
        rows: All tokens by id, revoked and expired ones included.
    """

    required: bool
    rows: dict[str, TokenRow]


def known_tokens(path: Path) -> KnownTokens:
    """All tokens of the store in `path`, also of one that is otherwise damaged.

    Raises:
        DamagedStoreError: They cannot be read.
        DeniedError: The data file cannot be read.
    """
    with data_file(path) as fd:
        found = whole_rows(fd, ("meta", *_DATABASES))
        if "meta" not in found:
            raise DamagedStoreError("it lacks meta")
        rows = [decode_token(row) for name in _DATABASES for row in found.get(name, {}).values()]
    return KnownTokens(META_AUTH in found["meta"], {row.id: row for row in rows})


class Tokens:
    """The tokens of one open store. Safe for threads.

    Args:
        environment: The store's environment.
        clock: Seconds since 1970.
    """

    def __init__(self, environment: Environment, clock: Callable[[], float]) -> None:
        self._environment = environment
        self._clock = clock

    def known(self) -> KnownTokens:
        """All tokens.

        Raises:
            DamagedStoreError: A row is damaged.
        """
        return known_tokens(self._environment.path)

    def issue(
        self,
        scope: TokenScope,
        names: Sequence[str] = (),
        *,
        expires: int = 0,
        note: str = "",
        namespace: str = "",
        show: Callable[[str, TokenRow], None] = lambda _text, _row: None,
    ) -> tuple[str, TokenRow]:
        """Issues a token; from now on the store requires tokens.

        Args:
            scope: What it allows.
            names: Patterns of names; empty for all.
            expires: Seconds since 1970; 0 for never.
            note: For people.
            namespace: The namespace that it selects; empty for the default one.
            show: Hands out the token before it is stored. If that fails, the store is unchanged.

        Returns:
            The token's text, which cannot be recovered later, and its row.

        Raises:
            NoSpaceError, WriteError: The store cannot be written.
        """
        ident = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        row = TokenRow(
            ident,
            digest_of(secret),
            stored_level(scope),
            tuple(names),
            int(self._clock()),
            expires,
            0,
            note,
            namespace,
            jobs=scope is TokenScope.JOBS,
        )

        text = format_token(Token(ident, secret))
        show(text, row)

        def write(txn: Txn) -> None:
            txn.put(META_AUTH, b"\1", db=self._environment.databases["meta"])
            self._put(txn, row)

        self._environment.write(write, need=_ROW_BYTES)
        return text, row

    def revoke(self, ident: str) -> TokenRow:
        """Revokes a token. Servers notice within seconds.

        Raises:
            NotFoundError: There is no token with this id.
            NoSpaceError, WriteError: The store cannot be written.
        """
        now = int(self._clock())

        def write(txn: Txn) -> TokenRow:
            databases = self._environment.databases
            found = (txn.get(ident.encode(), db=databases[name]) for name in _DATABASES)
            value = next((value for value in found if value is not None), None)
            if value is None:
                raise NotFoundError(
                    f"there is no token {ident}", next_step="`casync token ls` lists them."
                )
            row = decode_token(value)
            if not row.revoked:
                row = replace(row, revoked=now)
                self._put(txn, row)
            return row

        return self._environment.write(write, need=_ROW_BYTES)

    def _put(self, txn: Txn, row: TokenRow) -> None:
        name = _DATABASES[bool(row.namespace)]
        key, value = row.id.encode(), msgspec.msgpack.encode(row)
        self._environment.leaves.check(txn.id(), name, [key])
        txn.put(key, value, db=self._environment.databases[name])


def decode_token(value: Buffer) -> TokenRow:
    """Reads a value of `tokens`; DamagedStoreError if it is not a token."""
    try:
        return msgspec.msgpack.decode(value, type=TokenRow)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedStoreError(f"the store has a damaged token: {error}") from error
