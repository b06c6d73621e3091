"""Signed claims: one valid encoding, and signatures that hold for one claim only."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from casync.errors import MalformedError, UnsupportedError, UntrustedError, UsageError
from casync.names.name_claim import (
    MAX_SIGNED_BYTES,
    Claim,
    Signed,
    decode_signed,
    encode_claim,
    encode_signed,
)
from casync.names.signing import SigningKey, check_signed, format_key, parse_key

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
CLAIM = Claim(1, "vm/stable", 7, b"\x0f" * 32, 1_795_212_000, 1_797_804_000, b"\x0e" * 32)
SIGNED = KEY.sign(CLAIM)
FORMAT = (Path(__file__).parents[3] / "docs" / "FORMAT.md").read_text()


def test_a_signed_claim_is_read_back() -> None:
    signed, claim = decode_signed(SIGNED)
    assert claim == CLAIM
    assert signed.key == KEY.public
    assert check_signed(SIGNED, [KEY.public]) == (KEY.public, CLAIM)
    longest = msgspec.structs.replace(
        CLAIM, name="é" * 512, version=2**63 - 1, created=2**63 - 1, expires=2**63 - 1
    )
    assert len(KEY.sign(longest)) <= MAX_SIGNED_BYTES


def test_the_document_has_the_example() -> None:
    (block,) = re.findall(r"^```hex signed\n(.*?)^```$", FORMAT, re.MULTILINE | re.DOTALL)
    rows = [line.partition("|")[0] for line in block.splitlines()]
    assert bytes.fromhex("".join(rows)) == SIGNED


@pytest.mark.parametrize("at", range(len(SIGNED)))
def test_every_byte_counts(at: int) -> None:
    changed = bytearray(SIGNED)
    changed[at] ^= 1
    with pytest.raises(UntrustedError):
        check_signed(bytes(changed), [KEY.public])


@given(st.binary(max_size=400), st.integers(0, len(SIGNED)))
def test_garbage_is_not_a_signed_claim(garbage: bytes, at: int) -> None:
    for data in (garbage, SIGNED[:at] + garbage):
        if data == SIGNED:
            continue
        with contextlib.suppress(MalformedError, UnsupportedError):
            decode_signed(data)
        with pytest.raises(UntrustedError):
            check_signed(data, [KEY.public])


def resigned(data: bytes) -> bytes:
    """Other bytes with a valid signature."""
    signature = KEY._key.sign(b"casync 2026-11-21 name v1\n" + data)
    return encode_signed(Signed(data, KEY.public, signature))


def test_a_signature_over_other_bytes_does_not_make_a_claim() -> None:
    assert check_signed(resigned(encode_claim(CLAIM)), [KEY.public])
    later = encode_claim(msgspec.structs.replace(CLAIM, format=2))
    with pytest.raises(UntrustedError, match="newer than this program"):
        check_signed(resigned(later), [KEY.public])
    fields = msgspec.to_builtins(CLAIM, builtin_types=[bytes])
    for bad in (
        {**fields, "more": 1},
        {**fields, "version": 0},
        {**fields, "manifest": b"short"},
        {**fields, "previous": b"short"},
        dict(reversed(fields.items())),
        {**fields, "expires": -1},
    ):
        with pytest.raises(UntrustedError):
            check_signed(resigned(msgspec.msgpack.encode(bad)), [KEY.public])
    unmarked = encode_signed(
        Signed(encode_claim(CLAIM), KEY.public, KEY._key.sign(encode_claim(CLAIM)))
    )
    with pytest.raises(UntrustedError, match="signature is not by"):
        check_signed(unmarked, [KEY.public])


def test_keys_that_are_not_trusted() -> None:
    other = SigningKey.new()
    with pytest.raises(UntrustedError, match="which is not trusted"):
        check_signed(other.sign(CLAIM), [KEY.public])
    with pytest.raises(UntrustedError, match="not signed"):
        check_signed(b"", [KEY.public])
    signed, _ = decode_signed(other.sign(CLAIM))
    posing = encode_signed(msgspec.structs.replace(signed, key=KEY.public))
    with pytest.raises(UntrustedError, match="signature is not by"):
        check_signed(posing, [KEY.public])
    assert check_signed(other.sign(CLAIM), [KEY.public, other.public])[0] == other.public


def test_keys_are_text_and_pem() -> None:
    assert parse_key(format_key(KEY.public)) == KEY.public
    for bad in ("", "ed25519:", format_key(KEY.public).upper(), format_key(KEY.public) + "0", "x"):
        with pytest.raises(UsageError):
            parse_key(bad)
    again = SigningKey.read(KEY.pem())
    assert again.public == KEY.public
    assert again.sign(CLAIM) == SIGNED
    another_kind = X25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    for pem in (b"", b"x", KEY.pem()[:50], another_kind):
        with pytest.raises(UsageError):
            SigningKey.read(pem)
