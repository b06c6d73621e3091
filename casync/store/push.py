"""The port of pushes: objects that no manifest leads to yet, and promises about what is here.

Collections leave alone what a push brought or was promised, for as long as it is open. It ends
when it is published or ended, or when it is silent for too long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from casync.errors import NotFoundError
from casync.ids import Kind, ManifestId, ObjectId
from casync.names.name import NameRecord
from casync.names.name_update import NameUpdate
from casync.objects.codec import Verified
from casync.store.base import Committed, ObjectStat

__all__ = ["PUSH_ID_BYTES", "SILENCE", "Pushes", "has_ended", "is_alive", "outlived"]

PUSH_ID_BYTES: Final = 16

SILENCE: Final = 86400
"""Seconds without a request after which a push has ended. Only objects without a name are at stake,
so a clock that jumps costs a repeated push at worst."""

_MOST_PUSHES: Final = 1024
"""Pushes that may be open. One more ends that which was silent for longest."""


class Pushes(Protocol):
    """The pushes of one store. Safe for threads."""

    def begin(self) -> bytes:
        """Opens a push; returns its id.

        Raises:
            NoSpaceError, WriteError: The store cannot be written.
        """
        ...

    def promise(self, push: bytes, kind: Kind, ids: Sequence[ObjectId]) -> list[ObjectStat | None]:
        """The sizes of those objects that are here, which stay for as long as the push is open.

        Raises:
            NotFoundError: The push has ended.
            NoSpaceError, WriteError: The promise cannot be written down.
        """
        ...

    def put(self, push: bytes, objects: Sequence[Verified], *, spare: int) -> Committed:
        """Keeps objects, for as long as the push is open. Durable when it returns.

        Args:
            push: The push.
            objects: What it brought.
            spare: As of `check_room`.

        Raises:
            NotFoundError: The push has ended.
            NoSpaceError: The disk is full, or would be too full.
            QuotaError: The store may not hold as much. The push is given up: what it brought, and
                what it was promised, may be collected at once.
            WriteError: The store cannot be written.
        """
        ...

    def publish(self, push: bytes, what: ManifestId | NameUpdate, length: int) -> NameRecord | None:
        """Makes a manifest full, names it, and ends the push, all at once.

        Args:
            push: The push, to which everything below the manifest was promised.
            what: The manifest, or a name that shall point to it.
            length: Plain bytes that it tells.

        Returns:
            The version that the name got.

        Raises:
            NotFoundError: The push has ended; what was promised may be gone.
            NoObjectError: The manifest is not here.
            LostRaceError, NoSpaceError, WriteError: As of `Editable.set_name`.
        """
        ...

    def end(self, push: bytes) -> None:
        """Ends a push. Harmless when it has ended.

        Raises:
            NoSpaceError, WriteError: The store cannot be written.
        """
        ...

    def check_room(self, need: int, *, spare: int) -> None:
        """Looks whether so many bytes may be written.

        Args:
            need: Bytes.
            spare: Bytes that must be free afterwards; a small store need not keep as many.

        Raises:
            NoSpaceError: They may not.
        """
        ...


def is_alive(heard: int, now: int) -> bool:
    """Whether a push counts that was heard of last at `heard`, both in seconds since 1970.

    One from the future does not: it would never end.
    """
    return abs(now - heard) <= SILENCE


def outlived(heard: Mapping[bytes, int], now: int) -> list[bytes]:
    """The pushes that end when another one begins: silent ones, and of too many the most silent.

    Args:
        heard: When each push was heard of last, in seconds since 1970.
        now: Likewise.
    """
    ended = [push for push, then in heard.items() if not is_alive(then, now)]
    if len(heard) - len(ended) >= _MOST_PUSHES:
        ended.append(min(heard, key=lambda push: heard[push]))
    return ended


def has_ended(push: bytes) -> NotFoundError:
    """What is raised for a push that is not open."""
    return NotFoundError(
        f"push {push.hex()} has ended", next_step="Begin another one, and ask again."
    )
