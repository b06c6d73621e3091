"""Claims: what a publisher signs about one version of a name (docs/FORMAT.md section 7.1).

The name and its version are inside of what is signed, so that nobody can show an old version, or
that of another name, as the newest of this one. Here are the bytes; whether the signature over
them is good is for `signing` to say, and whose it must be for the reader. Servers keep claims and
need neither.
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
"""Bytes of a signed claim: the longest name, and room."""

CONTEXT: Final = b"casync 2026-11-21 name v1\n"
"""What goes before a claim when it is signed, so that it is never another kind of text."""

_VERSION: Final = 1
_LAST: Final = 2**63 - 1

_Id = Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=_LAST)]


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a name, as its publisher has it.

    Attributes:
        format: 1.
        name: The label.
        version: Its number.
        manifest: What it points to.
        created: When it was signed, in seconds since 1970.
        expires: From when on it is not to be believed, likewise; 0 for never.
        previous: What the version before it pointed to; empty for none.
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
        claim: The bytes that were signed, behind `CONTEXT`.
        key: The public key of Ed25519 that the signature is said to be of.
        signature: The signature.
    """

    claim: bytes
    key: Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
    signature: Annotated[
        bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)
    ]


class _Probe(msgspec.Struct):
    format: int


def encode_claim(claim: Claim) -> bytes:
    """The one encoding of a claim."""
    return msgspec.msgpack.encode(claim)


def encode_signed(signed: Signed) -> bytes:
    """The one encoding of a signed claim."""
    return msgspec.msgpack.encode(signed)


def decode_signed(data: Buffer) -> tuple[Signed, Claim]:
    """Reads a signed claim. Says nothing about the signature.

    Raises:
        UnsupportedError: A later format.
        MalformedError: Anything else that is not the one encoding of one.
    """
    if len(data) > MAX_SIGNED_BYTES:
        raise MalformedError(
            f"a signed claim of {len(data)} bytes; {MAX_SIGNED_BYTES} are the most"
        )
    try:
        signed = msgspec.msgpack.decode(data, type=Signed)
        found = msgspec.msgpack.decode(signed.claim, type=_Probe).format
        if found > _VERSION:
            raise UnsupportedError(f"a signed claim of format {found}, newer than this program")
        claim = msgspec.msgpack.decode(signed.claim, type=Claim)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(f"not a signed claim: {error}") from error
    if claim.format != _VERSION or len(claim.previous) not in (0, ID_BYTES):
        raise MalformedError("not a signed claim of this format")
    if encode_signed(signed) != bytes(data) or encode_claim(claim) != signed.claim:
        raise MalformedError("a signed claim that is not in its one encoding")
    return signed, claim
