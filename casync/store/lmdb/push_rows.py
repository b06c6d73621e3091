"""The rows of the database `pushes` (docs/FORMAT.md section 5.4): one for each push that is open.

A push lives as long as it is heard of now and then; its row outlives the process that made it.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from casync.errors import DamagedStoreError
from casync.ids import Buffer

__all__ = ["GIVEN_UP", "PUSH_ID_BYTES", "SILENCE", "PushRow", "decode_push", "encode_push"]

PUSH_ID_BYTES: Final = 16

SILENCE: Final = 86400
"""Seconds without a word after which a push has ended. Only what was sent and never named is at
stake, so a clock that jumps costs another push at worst."""

GIVEN_UP: Final = 2**32 - 1
"""The floor of a push that met the quota. It protects nothing, so that there can be room again, and
its other requests learn what the first one did."""

_ROW: Final = struct.Struct("<IQ")


class PushRow(NamedTuple):
    """A push.

    Attributes:
        floor: The generation that it began in: what is of that one or later is kept for it.
        heard: When it was heard of last, in seconds since 1970.
    """

    floor: int
    heard: int

    def lives(self, now: int) -> bool:
        """Whether it counts. A row from the future does not: it would never end."""
        return abs(now - self.heard) <= SILENCE

    def protects(self, now: int) -> bool:
        """Whether a collection leaves anything alone for it."""
        return self.lives(now) and self.floor != GIVEN_UP


def encode_push(row: PushRow) -> bytes:
    """A value of `pushes`."""
    return _ROW.pack(*row)


def decode_push(value: Buffer) -> PushRow:
    """Reads a value of `pushes`; DamagedStoreError where it is none."""
    try:
        return PushRow(*_ROW.unpack(value))
    except struct.error as error:
        raise DamagedStoreError(f"the store has a damaged push row: {error}") from error
