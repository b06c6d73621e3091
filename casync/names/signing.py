"""Keys of Ed25519: making them, signing claims with them, and checking signatures.

The only module that knows the library. Public keys are text (`ed25519:` and 64 hex digits),
private ones PEM (PKCS #8) without a password; where they are kept is for others to know.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from casync.errors import IntegrityError, UnsupportedError, UntrustedError, UsageError
from casync.names.name_claim import (
    CONTEXT,
    Claim,
    Signed,
    decode_signed,
    encode_claim,
    encode_signed,
)

__all__ = ["SigningKey", "check_signed", "format_key", "parse_key"]

_KEY: Final = re.compile(r"ed25519:([0-9a-f]{64})", re.ASCII)


class SigningKey:
    """A private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def new(cls) -> SigningKey:
        """A key that nobody has."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, pem: bytes) -> SigningKey:
        """The key in a PEM text.

        Raises:
            UsageError: There is none of Ed25519, or it needs a password.
        """
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UsageError("this is no private key without a password, as PEM") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageError("this is a key of another kind than Ed25519")
        return cls(key)

    def pem(self) -> bytes:
        """The key as a PEM text. Whoever reads it can sign."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, claim: Claim) -> bytes:
        """A claim with its signature, encoded."""
        data = encode_claim(claim)
        return encode_signed(Signed(data, self.public, self._key.sign(CONTEXT + data)))


def format_key(public: bytes) -> str:
    """A public key as people write it."""
    return f"ed25519:{public.hex()}"


def parse_key(text: str) -> bytes:
    """Reads a public key.

    Raises:
        UsageError: It is none.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise UsageError(
            f"not a public key: {text}", next_step="It is ed25519: and 64 hex digits; see key show."
        )
    return bytes.fromhex(match[1])


def check_signed(data: bytes, trusted: Collection[bytes]) -> tuple[bytes, Claim]:
    """The trusted key that signed a claim, and the claim. Nothing of it is used before that.

    Args:
        data: An encoded signed claim, or nothing.
        trusted: Public keys.

    Raises:
        UntrustedError: It is not signed, or not by one of them.
    """
    if not data:
        raise UntrustedError("it is not signed")
    try:
        signed, claim = decode_signed(data)
    except (IntegrityError, UnsupportedError) as error:
        raise UntrustedError(f"its signature cannot be read: {error.message}") from error
    if signed.key not in trusted:
        raise UntrustedError(f"it is signed by {format_key(signed.key)}, which is not trusted")
    try:
        Ed25519PublicKey.from_public_bytes(signed.key).verify(
            signed.signature, CONTEXT + signed.claim
        )
    except InvalidSignature as error:
        raise UntrustedError(f"its signature is not of {format_key(signed.key)}") from error
    return signed.key, claim
