"""Tokens: what a client presents to a server, and what a store keeps of them.

A token is `cas1_`, an id of 8 characters, `_`, and a secret of 256 random bits. A store keeps only
a hash of the secret. A fast hash is enough, because a random secret cannot be guessed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec
from blake3 import blake3

from casync.names.patterns import matches

__all__ = [
    "Token",
    "TokenRow",
    "TokenScope",
    "digest_of",
    "format_token",
    "parse_token",
    "stored_level",
]

_TOKEN: Final = re.compile(r"cas1_([0-9a-z]{8})_([0-9A-Za-z_-]{43})", re.ASCII)
_CONTEXT: Final = "casync 2026-11 token secret"


_WRITE: Final = 2
_ADMIN: Final = 3
"""Levels as stores keep them. A program that does not know jobs takes a token for them as one of
writing, so the right to jobs is a field of its own."""


class TokenScope(IntEnum):
    """What a token allows; each includes those below it. The numbers are not stored."""

    READ = 1
    WRITE = 2  # push and set names; existing versions stay
    JOBS = 3  # run downloads on the server
    ADMIN = 4  # remove, restore, and inspect the server


class Token(NamedTuple):
    """A token as a client presents it: its id and its secret."""

    id: str
    secret: str


class TokenRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a store keeps of a token.

    Attributes:
        id: 8 lower-case letters and digits.
        digest: The hash of its secret.
        level: 1 read, 2 write, 3 administration.
        names: Patterns of the names that it may see and set; empty for all.
        created: Seconds since 1970.
        expires: Seconds since 1970; 0 for never.
        revoked: Seconds since 1970; 0 while it is valid.
        note: For people.
        namespace: The namespace that it selects; empty for the default one.
        jobs: Whether one that may write may run jobs, too.
    """

    id: str
    digest: bytes
    level: int
    names: Sequence[str]
    created: int
    expires: int
    revoked: int
    note: str
    namespace: str = ""
    jobs: bool = False

    @property
    def scope(self) -> TokenScope:
        """What the token allows; an unknown level is the lowest."""
        if self.level == _ADMIN:
            return TokenScope.ADMIN
        if self.level == _WRITE:
            return TokenScope.JOBS if self.jobs else TokenScope.WRITE
        return TokenScope.READ

    def lives(self, now: float) -> bool:
        """Whether the token is valid at `now`, in seconds since 1970."""
        return not self.revoked and not 0 < self.expires <= now

    def opens(self, secret: str) -> bool:
        """Whether `secret` is the token's secret. Compares in constant time."""
        return hmac.compare_digest(digest_of(secret), self.digest)

    def allows(self, name: str) -> bool:
        """Whether the token may see and set `name`."""
        return not self.names or any(matches(name, pattern) for pattern in self.names)


def stored_level(scope: TokenScope) -> int:
    """The level of a token with this scope, as its row has it."""
    if scope is TokenScope.ADMIN:
        return _ADMIN
    return min(scope, _WRITE)


def format_token(token: Token) -> str:
    """The token as text."""
    return f"cas1_{token.id}_{token.secret}"


def parse_token(text: str) -> Token | None:
    """Reads a token's text; None if it is not a token."""
    match = _TOKEN.fullmatch(text)
    return Token(match[1], match[2]) if match else None


def digest_of(secret: str) -> bytes:
    """The hash that a store keeps of a secret: 32 bytes."""
    return blake3(secret.encode(), derive_key_context=_CONTEXT).digest()
