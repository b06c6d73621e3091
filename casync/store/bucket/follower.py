"""Keeps the tables of a store at the head of its bucket, while others only read them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final

from casync.bucket.head import BucketHead
from casync.bucket.keys import HEAD_KEY
from casync.bucket.storage import Tag
from casync.errors import CasyncError, IntegrityError
from casync.store.bucket.environment import BucketEnvironment
from casync.store.bucket.tables import read_standing

__all__ = ["HeadFollower"]

_INTERVAL_SECONDS: Final = 1.0
_AWAY_SECONDS: Final = 30.0
"""Seconds without an answer after which a bucket counts as away."""


class HeadFollower:
    """Looks for a newer head about once a second, with one request while there is none.

    Readers of the tables never wait for the bucket meanwhile: they see what is here.

    Args:
        environment: The tables.
        say: Reports that the bucket is away, and that it is back.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        environment: BucketEnvironment,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = environment
        self._say = say
        self._clock = clock
        self._tag: Tag | None = None
        self._head: BucketHead | None = None
        self._reached = clock()
        self._is_away = False
        self._is_damaged = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="head-follower", daemon=True)
        self._is_synced = False
        environment.looks_after = math.inf

    @property
    def is_synced(self) -> bool:
        """Whether the tables have been those of some head: from then on they are whole."""
        if not self._is_synced:
            with self._environment.reading() as txn:
                standing = read_standing(txn, self._environment.databases)
            self._is_synced = standing.head is not None
        return self._is_synced

    @property
    def waits_for(self) -> str:
        """What keeps the tables from being up to date, for people; empty if nothing does."""
        if not self.is_synced:
            with self._environment.reading() as txn:
                version = read_standing(txn, self._environment.databases).version
            return f"the first sync with the bucket, and has come to version {version}"
        silence = self._clock() - self._reached
        if silence <= _AWAY_SECONDS:
            return ""
        if self._is_damaged:
            return f"the bucket, which is damaged or was rolled back {silence:.0f} s ago"
        return f"the bucket, which was reached {silence:.0f} s ago"

    def start(self) -> None:
        """Starts to follow, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends that, at the latest with the running request."""
        self._stopped.set()

    def look(self) -> None:
        """Brings the tables to the head.

        Raises:
            CasyncError: The bucket cannot be read, or is damaged.
        """
        environment = self._environment
        try:
            tag = environment.storage.tag(HEAD_KEY)
            if tag is None or tag != self._tag or self._head is None:
                self._head = environment.refresh()
                self._tag = tag  # of before: a head that came meanwhile has another
        except CasyncError as error:
            self._is_damaged = isinstance(error, IntegrityError)
            raise
        environment.keep_session(self._head)
        self._reached = self._clock()

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            except CasyncError as error:
                if not self._is_away:
                    self._say(f"cannot read the state of the bucket: {error.message}")
                self._is_away = True
            else:
                if self._is_away:
                    self._say("the state of the bucket can be read again")
                self._is_away = False
            self._stopped.wait(_INTERVAL_SECONDS)
