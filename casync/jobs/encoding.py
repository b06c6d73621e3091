"""The bytes of a job's values: MessagePack, checked when it is read."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from casync.errors import CasyncError, MalformedError
from casync.ids import Buffer

__all__ = ["decode", "encode"]

_T = TypeVar("_T")
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
