"""The bytes of a job's values: MessagePack, checked when it is read."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from casync.errors import CasyncError, MalformedError
from casync.ids import Buffer

__all__ = ["decode", "encode", "kept_key", "key_kept_as"]

_T = TypeVar("_T")
_BYTES: Final = "\0"
"""Begins a key that is kept in hex. No source has keys that begin so."""

_ENCODER: Final = msgspec.msgpack.Encoder()


def encode(value: msgspec.Struct) -> bytes:
    """The bytes of a value."""
    return _ENCODER.encode(value)


def decode(data: Buffer, kind: type[_T]) -> _T:
    """Reads a value of `kind`. Fields that this program does not know are skipped.

    Raises:
        MalformedError: `data` is not such a value.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, CasyncError) as error:
        raise MalformedError(f"not a valid {kind.__name__}: {error}") from error


def kept_key(key: str) -> str:
    """A key as rows hold it: one whose bytes are not UTF-8 in hex, after a NUL."""
    if key.isascii():
        return key
    try:
        key.encode()
    except UnicodeEncodeError:
        return _BYTES + key.encode("utf-8", "surrogateescape").hex()
    return key


def key_kept_as(kept: str) -> str:
    """The key that rows hold as `kept_key` says; bytes that are not UTF-8 are surrogates.

    Raises:
        MalformedError: It is not such a key.
    """
    if not kept.startswith(_BYTES):
        return kept
    try:
        return bytes.fromhex(kept[1:]).decode("utf-8", "surrogateescape")
    except ValueError as error:
        raise MalformedError(f"not a key in hex: {error}") from error
