"""Where chunks lie at a site: a table that moves to disk when it is large."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Self

from casync.bucket.keys import SESSION_BYTES, SessionPart
from casync.errors import NoSpaceError

__all__ = ["PlaceTable", "SegmentPlace"]

_FIND: Final = "SELECT part, start, stored FROM chunks WHERE id = ?"


class SegmentPlace(NamedTuple):
    """Where a chunk lies: its segment, the offset of its record, and bytes of its payload."""

    part: SessionPart
    offset: int
    stored: int


class PlaceTable:
    """Places by chunk. Used by one thread; a context manager."""

    def __init__(self) -> None:
        # The empty name stands for a temporary file that exists once the cache is full.
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute(
            "CREATE TABLE chunks (id BLOB PRIMARY KEY, part BLOB, start INT, stored INT) "
            "WITHOUT ROWID"
        )
        self._rows.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def add(self, chunks: Iterable[tuple[bytes, SegmentPlace]]) -> None:
        """Adds chunks; the place of one that is known stays.

        Raises:
            NoSpaceError: The temporary file does not fit on its disk.
        """
        rows = (
            (ident, place.part.session + place.part.number.to_bytes(4), place.offset, place.stored)
            for ident, place in chunks
        )
        try:
            self._rows.executemany("INSERT OR IGNORE INTO chunks VALUES (?, ?, ?, ?)", rows)
        except sqlite3.OperationalError as error:
            raise NoSpaceError(
                f"cannot keep a list of chunks in a temporary file: {error}",
                next_step="Set TMPDIR to another folder.",
            ) from error

    def find(self, ids: Sequence[bytes]) -> dict[bytes, SegmentPlace]:
        """The places of those chunks that are known."""
        found: dict[bytes, SegmentPlace] = {}
        for ident in ids:
            for part, start, stored in self._rows.execute(_FIND, (ident,)):
                session, number = part[:SESSION_BYTES], int.from_bytes(part[SESSION_BYTES:])
                found[ident] = SegmentPlace(SessionPart(session, number), start, stored)
        return found
