"""The port of pushes: objects that no manifest leads to yet, and promises to keep objects.

Collections keep the objects that an open push sent or was promised. A push ends when it is
published or ended, or after a long silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from casync.errors import NotFoundError
from casync.ids import Kind, ManifestId, ObjectId
from casync.limits import MAX_PUSHES
from casync.names.name import NameRecord
from casync.names.name_update import NameUpdate
from casync.objects.codec import Verified
from casync.store.base import Committed, ObjectStat

__all__ = ["PUSH_ID_BYTES", "SILENCE", "OpenPush", "Pushes", "has_ended", "is_alive", "outlived"]

PUSH_ID_BYTES: Final = 16

SILENCE: Final = 86400
"""Seconds without a request after which a push has ended. Only objects without a name are at risk,
so a jump of the clock costs a repeated push at worst."""


class OpenPush(NamedTuple):
    """A push that keeps objects: its id, and its last request in seconds since 1970."""

    id: bytes
    heard: int


class Pushes(Protocol):
    """The pushes of one store. Safe for threads."""

    def begin(self) -> bytes:
        """Opens a push; returns its id.

        Raises:
            NoSpaceError, WriteError: The store cannot be written.
        """
        ...

    def promise(self, push: bytes, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """The sizes of the objects that are here, None for the others.

        Collections keep them for as long as the push is open.

        Raises:
            NotFoundError: The push has ended.
            NoSpaceError: The promise cannot be written for want of room. The push is given up.
            WriteError: The store cannot be written.
        """
        ...

    def put(self, push: bytes, objects: Sequence[Verified], *, spare: int) -> Committed:
        """Stores objects and keeps them for as long as the push is open. Durable on return.

        Args:
            push: The push.
            objects: Its objects.
            spare: As in `check_room`.

        Raises:
            NotFoundError: The push has ended.
            NoSpaceError: The disk is full, or would be too full, or the store's quota is exceeded
                (QuotaError). The push is given up: its other requests fail in the same way, and
                its objects may be collected at once.
            WriteError: The store cannot be written.
        """
        ...

    def publish(self, push: bytes, what: ManifestId | NameUpdate, length: int) -> NameRecord | None:
        """Makes a manifest full, names it, and ends the push, atomically.

        Args:
            push: The push, to which everything below the manifest was promised.
            what: The manifest, or the update of a name that points to it.
            length: Plain bytes of the manifest's content.

        Returns:
            The version of the name, or None without a name.

        Raises:
            NotFoundError: The push has ended; its objects may be gone.
            NoObjectError: The manifest is not here.
            NoSpaceError: There is no room for the rows. The push is given up.
            LostRaceError, WriteError: As `Editable.set_name`.
        """
        ...

    def open(self) -> list[OpenPush]:
        """The pushes for which objects are kept, the one that was silent for longest first."""
        ...

    def end(self, push: bytes) -> None:
        """Ends a push. Does nothing if it has ended already.

        Raises:
            NoSpaceError, WriteError: The store cannot be written.
        """
        ...

    def check_room(self, push: bytes, need: int, *, spare: int) -> None:
        """Checks that there is room for more objects of a push.

        Args:
            push: The push.
            need: Bytes to write.
            spare: Bytes that must remain free; fewer for a small store.

        Raises:
            NoSpaceError: There is no room. The push is given up.
        """
        ...


def is_alive(heard: int, now: int) -> bool:
    """Whether a push is open whose last request was at `heard`; both in seconds since 1970.

    A push from the future is not open, as it would never end.
    """
    return abs(now - heard) <= SILENCE


def outlived(heard: Mapping[bytes, int], now: int) -> list[bytes]:
    """The pushes that end when another one begins: silent ones, and with too many the most silent.

    Args:
        heard: Time of the last request of each push, in seconds since 1970.
        now: The time, in seconds since 1970.
    """
    ended = [push for push, then in heard.items() if not is_alive(then, now)]
    if len(heard) - len(ended) >= MAX_PUSHES:
        ended.append(min(heard, key=lambda push: heard[push]))
    return ended


def has_ended(push: bytes) -> NotFoundError:
    """The error for a push that is not open."""
    return NotFoundError(f"push {push.hex()} has ended", next_step="Begin another push.")
