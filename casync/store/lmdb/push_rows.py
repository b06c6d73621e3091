"""The rows of the database `pushes` (docs/FORMAT.md section 5.4): one for each open push.

A push stays open as long as requests for it arrive; its row outlives the process that made it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from casync.errors import DamagedStoreError
from casync.ids import Buffer
from casync.store.lmdb.lmdb_errors import REBUILD
from casync.store.push import OpenPush, is_alive

__all__ = ["GIVEN_UP", "PushRow", "decode_push", "encode_push", "open_pushes"]

GIVEN_UP: Final = 2**32 - 1
"""The floor of a push that found no room, or has reached the quota. It protects nothing, so that
there can be space again, and the push's other requests fail as the first one did."""

_ROW: Final = struct.Struct("<IQ")


class PushRow(NamedTuple):
    """An open push.

    Attributes:
        floor: The generation that it began in: objects of this and later ones are kept for it.
        heard: Time of its last request, in seconds since 1970.
    """

    floor: int
    heard: int

    def lives(self, now: int) -> bool:
        """Whether the push is open."""
        return is_alive(self.heard, now)

    def protects(self, now: int) -> bool:
        """Whether collections keep anything for the push."""
        return self.lives(now) and self.floor != GIVEN_UP


def encode_push(row: PushRow) -> bytes:
    """A value of `pushes`."""
    return _ROW.pack(*row)


def decode_push(value: Buffer) -> PushRow:
    """Reads a value of `pushes`; DamagedStoreError if it is malformed."""
    try:
        return PushRow(*_ROW.unpack(value))
    except struct.error as error:
        raise DamagedStoreError(
            f"the store has a damaged push row: {error}", next_step=REBUILD
        ) from error


def open_pushes(rows: Iterable[tuple[bytes, bytes]], now: float) -> list[OpenPush]:
    """The pushes for which collections keep objects, the one that was silent for longest first.

    Args:
        rows: The rows of `pushes`.
        now: Seconds since 1970.
    """
    decoded = ((key, decode_push(value)) for key, value in rows)
    found = [OpenPush(key, row.heard) for key, row in decoded if row.protects(int(now))]
    return sorted(found, key=lambda push: push.heard)
