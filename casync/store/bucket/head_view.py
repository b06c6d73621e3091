"""The head of a store in a bucket as this process last saw it, and the swap to the next one."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from casync.bucket.commit import has_swapped
from casync.bucket.head import BucketHead, encode_head
from casync.bucket.keys import HEAD_KEY
from casync.bucket.storage import ObjectStorage, StoredObject, Tag
from casync.errors import RemoteError, UnsupportedError
from casync.store.bucket.catch_up import HeadMovedError
from casync.store.bucket.state_reader import SeenHead, StateReader

__all__ = ["HeadView"]

_RECENT_SECONDS: Final = 1.0
"""Age up to which a head is taken for the present one, while no other writer shows itself."""


_MOST_REFUSED: Final = 5
"""Swaps of an unchanged head that may be refused in a row: an object that was restored has a new
tag, and a server may answer late."""


class HeadView:
    """What one process knows of a head. Safe for threads.

    A head that did not change is not fetched again: its tag is asked for, an answer without a body.
    Servers that send headers and body apart take 40 ms for one with a body.

    Args:
        storage: The bucket.
        state: Reads it.
        tables: The folder of this host's tables, and of what the probe has found.
    """

    def __init__(self, storage: ObjectStorage, state: StateReader, tables: Path) -> None:
        self._storage = storage
        self._state = state
        self._tables = tables
        self._refused = 0  # swaps in a row, of a head that is still what it was
        self._lock = threading.Lock()  # of what follows; never held while the bucket is asked
        self._seen: SeenHead | None = None
        self._at = 0.0
        self._is_sure = False  # whether the tag is certainly that of these bytes
        self._is_alone = True  # whether the last head that came was of this process

    @property
    def last(self) -> BucketHead | None:
        """The head that was seen last."""
        return self._seen.head if self._seen is not None else None

    @property
    def recent(self) -> BucketHead | None:
        """The last one, if it was seen just now and no other writer shows itself."""
        with self._lock:
            age = time.monotonic() - self._at
            is_recent = self._is_alone and self._is_sure and age < _RECENT_SECONDS
            return self.last if is_recent else None

    def look(self) -> BucketHead:
        """The head as it is now.

        Raises:
            CasyncError: As `StateReader.head`.
        """
        tag = self._storage.tag(HEAD_KEY)
        with self._lock:
            seen = self._seen if self._is_sure else None
        if seen is None or tag != seen.tag:
            return self._read(tag)
        return self._note(seen, is_alone=True, is_sure=True)

    def take(self, stored: StoredObject) -> BucketHead:
        """Takes a head that was read just now. Raises as `look`."""
        return self._note(self._state.decode(stored), is_alone=True, is_sure=False)

    def swap(self, head: BucketHead, swapped: BucketHead) -> None:
        """Swaps the last head.

        Args:
            head: The last head.
            swapped: The next one.

        Raises:
            HeadMovedError: Another writer was faster.
            UnsupportedError: The bucket takes no tag of this form.
            CasyncError: The bucket failed: the swap may have happened.
        """
        with self._lock:
            seen = self._seen if self._is_sure else None
        if seen is None or seen.head != head:
            raise HeadMovedError("the tag is unknown")
        tag: Tag | None = None
        is_refused = False
        with suppress(RemoteError):  # it may have happened
            tag = self._storage.swap(HEAD_KEY, encode_head(swapped), seen.tag)
            is_refused = tag is None
        if tag is not None:
            self._refused = 0
            self._note(SeenHead(swapped, tag), is_alone=self._is_alone, is_sure=True)
            return
        found = self._read(None)
        mine = next((each for each in swapped.sessions if each not in head.sessions), None)
        has_come = mine is not None and has_swapped(found, mine.session, mine.number)
        self._refused = self._refused + 1 if is_refused and found == head else 0
        if self._refused >= _MOST_REFUSED:
            raise UnsupportedError(
                f"{self._storage.place} replaces no object, although nothing else has changed it",
                next_step=f"If the address leads to another server than before, remove "
                f"{self._tables}: then it is tried out again.",
            )
        if found != swapped and not has_come:
            raise HeadMovedError("another writer was faster")

    def _read(self, tag: Tag | None) -> BucketHead:
        """Fetches the head, whose tag was `tag` before.

        A server may answer with the bytes of one state and the tag of the next one. Such a pair is
        not taken for the present head later, nor is that tag the condition of a swap, which would
        undo the commits between: the bytes are no older than a tag that came before.
        """
        is_first, seen = self._seen is None, self._state.head()
        return self._note(seen, is_alone=is_first, is_sure=seen.tag == tag)

    def _note(self, seen: SeenHead, *, is_alone: bool, is_sure: bool) -> BucketHead:
        """Notes a head, unless another thread has noted a later one."""
        with self._lock:
            if self._seen is None or seen.head.version >= self._seen.head.version:
                self._seen, self._at = seen, time.monotonic()
                self._is_alone, self._is_sure = is_alone, is_sure
        return seen.head
