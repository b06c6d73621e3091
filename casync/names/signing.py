"""Ed25519 keys: generates them, signs claims and verifies signatures.

The one module that uses the `cryptography` library. A public key is text (`ed25519:` and 64 hex
digits), a private key is PEM (PKCS #8) without a password.
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
        """Generates a key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, pem: bytes) -> SigningKey:
        """Reads a key from PEM text.

        Raises:
            UsageError: `pem` holds no Ed25519 private key, or one that needs a password.
        """
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UsageError("is not an unencrypted PEM private key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageError("is not an Ed25519 key")
        return cls(key)

    def pem(self) -> bytes:
        """The key as PEM text. This is the secret."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, claim: Claim) -> bytes:
        """Signs a claim; returns the encoded signed claim."""
        data = encode_claim(claim)
        return encode_signed(Signed(data, self.public, self._key.sign(CONTEXT + data)))


def format_key(public: bytes) -> str:
    """A public key as text: `ed25519:` and 64 hex digits."""
    return f"ed25519:{public.hex()}"


def parse_key(text: str) -> bytes:
    """Reads a public key.

    Raises:
        UsageError: `text` is not a public key.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise UsageError(
            f"not a public key: {text}",
            next_step="It is ed25519: and 64 hex digits; casync key show prints it.",
        )
    return bytes.fromhex(match[1])


def check_signed(data: bytes, trusted: Collection[bytes]) -> tuple[bytes, Claim]:
    """Verifies a signed claim, and returns the trusted key and the claim.

    Args:
        data: An encoded signed claim, or empty.
        trusted: Public keys of 32 bytes each.

    Raises:
        UntrustedError: It is not signed, or not by a trusted key.
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
        raise UntrustedError(f"its signature is not by {format_key(signed.key)}") from error
    return signed.key, claim
