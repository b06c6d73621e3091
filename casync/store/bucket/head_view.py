"""The head of a store in a bucket as this process last saw it, and the swap to the next one."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Final

from casync.bucket.commit import has_swapped
from casync.bucket.head import BucketHead, encode_head
from casync.bucket.keys import HEAD_KEY
from casync.bucket.storage import ObjectStorage, StoredObject, Tag
from casync.errors import RemoteError
from casync.store.bucket.catch_up import HeadMovedError
from casync.store.bucket.state_reader import SeenHead, StateReader

__all__ = ["HeadView"]

_RECENT_SECONDS: Final = 1.0
"""Age up to which a head is taken for the present one, while no other writer shows itself."""


class HeadView:
    """What one process knows of a head. Safe for threads.

    A head that did not change is not fetched again: its tag is asked for, an answer without a body.
    Servers that send headers and body apart take 40 ms for one with a body.

    Args:
        storage: The bucket.
        state: Reads it.
    """

    def __init__(self, storage: ObjectStorage, state: StateReader) -> None:
        self._storage = storage
        self._state = state
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
            CasyncError: The bucket failed: the swap may have happened.
        """
        with self._lock:
            seen = self._seen if self._is_sure else None
        if seen is None or seen.head != head:
            raise HeadMovedError("the tag is unknown")
        tag: Tag | None = None
        with suppress(RemoteError):  # it may have happened
            tag = self._storage.swap(HEAD_KEY, encode_head(swapped), seen.tag)
        if tag is not None:
            self._note(SeenHead(swapped, tag), is_alone=self._is_alone, is_sure=True)
            return
        found = self._read(None)
        mine = next((each for each in swapped.sessions if each not in head.sessions), None)
        has_come = mine is not None and has_swapped(found, mine.session, mine.number)
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
