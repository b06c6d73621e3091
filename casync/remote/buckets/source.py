"""An object of a bucket as a source: reads ranges, several at once.

All ranges are of the version that was looked up first; a change is an error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

from casync.errors import NotFoundError, SourceChangedError
from casync.limits import MIB
from casync.remote.buckets.base import Bucket, Listed

__all__ = ["BucketSource"]

_RANGE_BYTES: Final = 4 * MIB
"""Bytes of one request: large enough that the round trip does not matter."""

_AT_ONCE: Final = 8
"""Concurrent requests. Their answers are held in memory."""


class BucketSource:
    """An object of a bucket. Implements `casync.fs.source.base.Source`.

    Args:
        bucket: The bucket.
        listed: The object, as it was listed.

    Attributes:
        listed: The object, as it was looked up before the last read.
    """

    repeatable = True

    def __init__(self, bucket: Bucket, listed: Listed) -> None:
        self.label = f"{bucket.label}/{listed.key}"
        self.listed = listed
        self._bucket = bucket
        self._used = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def length(self) -> int:
        """Bytes of the object."""
        return self.listed.size

    def stamp(self) -> None:
        """None: stores remember only local files as seeds."""
        return

    def positioned(self, least: int) -> None:
        """None: there is no file that child processes could read."""
        return

    def blocks(self, size: int = _RANGE_BYTES) -> Iterator[bytes]:
        """Reads everything, in blocks of at most `size` bytes. See `Source`."""
        if self._used:
            self.renew()
        self._used = True
        coming: deque[Future[bytes]] = deque()
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="range")
        try:
            for start in range(0, self.listed.size, size):
                end = min(start + size, self.listed.size)
                coming.append(pool.submit(self._read, start, end))
                if len(coming) == _AT_ONCE:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def renew(self) -> None:
        """Looks the object up again.

        Raises:
            SourceChangedError: The object is gone.
            CasyncError: As `Bucket.find`.
        """
        found = self._bucket.find(self.listed.key)
        if found is None:
            raise SourceChangedError(f"{self.label} vanished while it was read")
        self.listed = found

    def _read(self, start: int, end: int) -> bytes:
        try:
            return self._bucket.read(self.listed, start, end)
        except NotFoundError as error:
            raise SourceChangedError(f"{self.label} vanished while it was read") from error
