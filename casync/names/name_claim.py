"""Claims: what a publisher signs about one version of a name (docs/FORMAT.md section 7.1).

A claim holds the name and its version, so an old version, or one of another name, cannot be
presented as the newest of this one. This module reads and writes the bytes. `signing` verifies the
signature; the reader decides whose to trust. Servers store claims and verify nothing.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from casync.errors import MalformedError, UnsupportedError
from casync.ids import ID_BYTES, Buffer
from casync.limits import MAX_NAME_BYTES

__all__ = [
    "CONTEXT",
    "KEY_BYTES",
    "MAX_SIGNED_BYTES",
    "SIGNATURE_BYTES",
    "Claim",
    "Signed",
    "decode_signed",
    "encode_claim",
    "encode_signed",
]

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
MAX_SIGNED_BYTES: Final = 1536
"""Bytes of a signed claim: the longest name, plus slack."""

CONTEXT: Final = b"casync 2026-11-21 name v1\n"
"""Prefix of every signed claim, which distinguishes it from any other signed text."""

_VERSION: Final = 1
_LAST: Final = 2**63 - 1

_Id = Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=_LAST)]


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a name, as stated by its publisher.

    Attributes:
        format: 1.
        name: The label.
        version: The version's number.
        manifest: The id that it points to.
        created: When it was signed, in seconds since 1970.
        expires: When it becomes invalid, in seconds since 1970; 0 for never.
        previous: The id that the version before it pointed to; empty for the first.
    """

    format: int
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_BYTES)]
    version: Annotated[int, msgspec.Meta(ge=1, le=_LAST)]
    manifest: _Id
    created: _Number
    expires: _Number
    previous: Annotated[bytes, msgspec.Meta(max_length=ID_BYTES)]


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A claim with its signature.

    Attributes:
        claim: The signed bytes, without `CONTEXT`.
        key: The Ed25519 public key that the signature is attributed to.
        signature: The signature of `CONTEXT` and `claim`.
    """

    claim: bytes
    key: Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
    signature: Annotated[
        bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)
    ]


class _Probe(msgspec.Struct):
    format: int


def encode_claim(claim: Claim) -> bytes:
    """The one valid encoding of a claim."""
    return msgspec.msgpack.encode(claim)


def encode_signed(signed: Signed) -> bytes:
    """The one valid encoding of a signed claim."""
    return msgspec.msgpack.encode(signed)


def decode_signed(data: Buffer) -> tuple[Signed, Claim]:
    """Reads a signed claim without verifying its signature.

    Raises:
        UnsupportedError: The format is newer than this program.
        MalformedError: It is not a signed claim, or not in its one valid encoding.
    """
    if len(data) > MAX_SIGNED_BYTES:
        raise MalformedError(
            f"signed claim of {len(data)} bytes; at most {MAX_SIGNED_BYTES} allowed"
        )
    try:
        signed = msgspec.msgpack.decode(data, type=Signed)
        found = msgspec.msgpack.decode(signed.claim, type=_Probe).format
        if found > _VERSION:
            raise UnsupportedError(f"signed claim of format {found} is newer than this program")
        claim = msgspec.msgpack.decode(signed.claim, type=Claim)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(f"not a signed claim: {error}") from error
    if claim.format != _VERSION or len(claim.previous) not in (0, ID_BYTES):
        raise MalformedError("not a signed claim of this format")
    if encode_signed(signed) != bytes(data) or encode_claim(claim) != signed.claim:
        raise MalformedError("signed claim that is not in its one valid encoding")
    return signed, claim
