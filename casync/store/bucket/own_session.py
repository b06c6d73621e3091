"""The session of a process in the head of a store: how it is opened, kept and ended."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from casync.bucket.collect import SESSION_SILENCE
from casync.bucket.commit import after_swap, session_ended, with_session, without_session
from casync.bucket.head import NO_FLOOR, BucketHead
from casync.bucket.keys import SESSION_BYTES
from casync.errors import CasyncError, LostRaceError
from casync.store.bucket.catch_up import HeadMovedError
from casync.store.bucket.head_view import HeadView
from casync.store.bucket.host_sessions import HostSessions
from casync.store.bucket.session_parts import SessionParts
from casync.store.lmdb.environment import Txn

__all__ = ["TRIES", "OwnSession"]

TRIES: Final = 1000
"""Swaps that one commit may lose: with six writers it loses a few."""

_HEARD_SECONDS: Final = SESSION_SILENCE // 4
"""Silence after which a reader says that the session of its process lives."""


class OwnSession:
    """The session. Used by one thread at a time, that of the commit.

    Args:
        hosts: The sessions of this host.
        heads: What is known of the head.
        parts: Which session is open, and what it has used.
        refresh: Brings the tables to the head.
        write_here: Writes to this host's tables.
        clock: Seconds since 1970.

    Attributes:
        holds_promises: Whether the store must be opened again if the session ends.
    """

    def __init__(
        self,
        hosts: HostSessions,
        heads: HeadView,
        parts: SessionParts,
        refresh: Callable[[], BucketHead],
        write_here: Callable[[Callable[[Txn], Any]], Any],
        clock: Callable[[], float],
    ) -> None:
        self.holds_promises = False
        self._hosts = hosts
        self._heads = heads
        self._parts = parts
        self._refresh = refresh
        self._write_here = write_here
        self._clock = clock

    def check(self, head: BucketHead) -> None:
        """Drops a session that was ended, if nothing was promised to it.

        Raises:
            LostRaceError: Something was; a caller that relies on it must begin anew.
        """
        if not self._parts.session or head.session(self._parts.session) is not None:
            return
        if self.holds_promises:
            raise session_ended()
        self._parts.session = b""

    def open(self, *, has_floor: bool = False) -> int:
        """Opens a session; returns the generation at that moment.

        Args:
            has_floor: Whether that is its floor.

        Raises:
            CasyncError: The bucket failed, or the tables cannot be written.
        """
        hosts, session = self._hosts, secrets.token_bytes(SESSION_BYTES)
        self._write_here(partial(hosts.add, session=session))

        def opened(head: BucketHead) -> BucketHead:
            floor = head.generation if has_floor else NO_FLOOR
            return with_session(head, session, int(self._clock()), floor)

        head = self.swap(opened)
        self._parts.begin(session)  # not before: a collection deletes what no open session names
        for each in self._write_here(hosts.dead):  # of killed processes of this host
            self.swap(partial(without_session, session=each))
            self._write_here(partial(hosts.drop, session=each))
        return head.generation

    def swap(self, edit: Callable[[BucketHead], BucketHead | None]) -> BucketHead:
        """Swaps a head with other sessions, if `edit` gives one; returns the head of now.

        Raises:
            CasyncError: As `open`.
        """
        for attempt in range(TRIES):
            recent = self._heads.recent if not attempt else None
            head = recent or self._refresh()
            swapped = edit(head)
            with suppress(HeadMovedError):
                if swapped is not None:
                    self._heads.swap(head, swapped)
                    return swapped
                if recent is None:
                    return head
        raise LostRaceError("the bucket changes faster than it can be written")

    def is_silent(self, head: BucketHead) -> bool:
        """Whether it is time to say that the session lives."""
        mine = head.session(self._parts.session)
        return mine is not None and abs(int(self._clock()) - mine.heard) > _HEARD_SECONDS

    def say_alive(self, head: BucketHead) -> None:
        """Says that the session lives. A failure is that of the next try."""
        with suppress(CasyncError):
            session, number = self._parts.session, self._parts.skip()
            self._heads.swap(head, after_swap(head, session, number=number, now=int(self._clock())))

    def end(self) -> None:
        """Ends the session, if one is open. If that fails, a collection ends it."""
        if self._parts.session:
            session, self._parts.session = self._parts.session, b""
            with suppress(CasyncError):
                self.swap(partial(without_session, session=session))
                self._write_here(partial(self._hosts.drop, session=session))
