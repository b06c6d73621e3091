"""Tokens: what a client shows to a server, and what a store keeps of it.

A token is `cas1_`, 8 characters that name it, `_`, and a secret of 256 random bits. A store keeps a
hash of the secret alone; a fast one is enough, since nobody can guess what is random. Must not know
where tokens are kept.
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

__all__ = ["TokenScope", "Token", "TokenRow", "digest_of", "format_token", "parse_token"]

_TOKEN: Final = re.compile(r"cas1_([0-9a-z]{8})_([0-9A-Za-z_-]{43})", re.ASCII)
_CONTEXT: Final = "casync 2026-11 token secret"


class TokenScope(IntEnum):
    """What a token is good for; each level includes those below it."""

    READ = 1
    WRITE = 2  # push and set names; what was there stays
    ADMIN = 3  # remove and restore, and look at what the server does


class Token(NamedTuple):
    """A token as it was shown: which one it is, and its secret."""

    id: str
    secret: str


class TokenRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a store keeps of a token.

    Attributes:
        id: 8 lower-case letters and digits.
        digest: The hash of its secret.
        level: A `TokenScope`.
        names: Patterns of the names that it may see and set; empty for all.
        created: Seconds since 1970.
        expires: The same; 0 for never.
        revoked: The same, when it was revoked; 0 when not.
        note: For people.
        namespace: The one that it selects; empty for the default one.
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

    def lives(self, now: float) -> bool:
        """Whether it is good at all at `now`, seconds since 1970."""
        return not self.revoked and not 0 < self.expires <= now

    def opens(self, secret: str) -> bool:
        """Whether `secret` is its own. Takes as long either way."""
        return hmac.compare_digest(digest_of(secret), self.digest)

    def allows(self, name: str) -> bool:
        """Whether it may see and set a name."""
        return not self.names or any(matches(name, pattern) for pattern in self.names)


def format_token(token: Token) -> str:
    """As it is shown."""
    return f"cas1_{token.id}_{token.secret}"


def parse_token(text: str) -> Token | None:
    """Reads what somebody showed; None where it is no token."""
    match = _TOKEN.fullmatch(text)
    return Token(match[1], match[2]) if match else None


def digest_of(secret: str) -> bytes:
    """What is kept of a secret: 32 bytes."""
    return blake3(secret.encode(), derive_key_context=_CONTEXT).digest()
