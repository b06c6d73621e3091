"""Takes leases of a store in a bucket, and renews them while their work is done."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from casync.bucket.lease import LEASE_SECONDS, LeaseRecord, decode_lease, encode_lease
from casync.bucket.storage import ObjectStorage, Tag
from casync.errors import CasyncError, LostRaceError, MalformedError, UnreachableError

__all__ = ["HeldLease", "find_lease", "take_lease"]

_TRIES: Final = 100
_HOLDER_BYTES: Final = 16
_CLOSE_SECONDS: Final = 5.0
"""Seconds that a renewal may still take when the lease is given back."""


def find_lease(storage: ObjectStorage, key: str, now: float) -> LeaseRecord | None:
    """The lease of this key, if its holder lives.

    Args:
        storage: The bucket.
        key: The key.
        now: Seconds since 1970.

    Raises:
        CasyncError: The bucket cannot be read.
    """
    stored = storage.get(key)
    lease = _decoded(stored.data) if stored is not None else None
    return lease if lease is not None and lease.lives(now) else None


def take_lease(
    storage: ObjectStorage,
    key: str,
    *,
    clock: Callable[[], float] = time.time,
    seconds: int = LEASE_SECONDS,
    watches: bool = True,
    sleep: Callable[[float], None] = time.sleep,
) -> HeldLease | LeaseRecord:
    """Takes a lease, unless another holder lives.

    Args:
        storage: The bucket.
        key: The key.
        clock: Seconds since 1970.
        seconds: For how long the lease holds without renewals.
        watches: Look for two renewals before a silent lease is taken over: the clock of its holder
            may be wrong.
        sleep: Waits meanwhile.

    Returns:
        The lease, or that of the other holder.

    Raises:
        CasyncError: The bucket cannot be read or written.
    """
    who = f"{socket.gethostname()}, process {os.getpid()}"
    holder, now = secrets.token_hex(_HOLDER_BYTES), int(clock())
    mine = LeaseRecord(holder, who, now, now, seconds)
    watched: Tag | None = None
    for _ in range(_TRIES):
        stored = storage.get(key)
        if stored is None:
            with suppress(UnreachableError):  # what is there now says whether it is ours
                storage.create(key, encode_lease(mine))
            continue
        found = _decoded(stored.data)
        if found is not None and found.holder == holder:
            return HeldLease(storage, key, found, stored.tag, clock)
        if found is not None and found.lives(clock()):
            return found
        if watches and stored.tag != watched:
            watched = stored.tag
            sleep((found.seconds if found is not None else seconds) * 2 / 3)
            continue
        now = int(clock())
        mine = replace(mine, since=now, heard=now)
        with suppress(UnreachableError):
            storage.swap(key, encode_lease(mine), stored.tag)
    raise LostRaceError(f"{key} of {storage.place} changes faster than it can be taken")


def _decoded(data: bytes) -> LeaseRecord | None:
    """A lease; None for a damaged one, which counts as silent."""
    try:
        return decode_lease(data)
    except MalformedError:
        return None


class HeldLease:
    """A lease of this process, which a thread renews until `close`.

    Args:
        storage: The bucket.
        key: The key.
        lease: The lease.
        tag: Its tag.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        storage: ObjectStorage,
        key: str,
        lease: LeaseRecord,
        tag: Tag,
        clock: Callable[[], float],
    ) -> None:
        self._storage = storage
        self._key = key
        self._lease = lease
        self._tag = tag
        self._clock = clock
        self._closed = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether another holder has taken the lease meanwhile."""
        return self._lost.is_set()

    def close(self) -> None:
        """Gives the lease back. May be called again."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join(_CLOSE_SECONDS)
        if not self.is_lost:
            with suppress(CasyncError):  # it runs out by itself
                self._storage.delete([self._key])

    def renew(self) -> None:
        """Says that the holder lives.

        Raises:
            CasyncError: The bucket failed.
        """
        lease = replace(self._lease, heard=int(self._clock()))
        tag = self._storage.swap(self._key, encode_lease(lease), self._tag)
        if tag is None:  # taken over, or an earlier try came through
            self._storage.create(self._key, encode_lease(lease))  # if it was given back by mistake
            stored = self._storage.get(self._key)
            found = _decoded(stored.data) if stored is not None else None
            if stored is None or found is None or found.holder != lease.holder:
                self._lost.set()
                return
            tag = stored.tag
        self._lease, self._tag = lease, tag

    def _keep(self) -> None:
        while not self._closed.wait(self._lease.seconds / 3) and not self.is_lost:
            with suppress(CasyncError):  # the next one may come through
                self.renew()
