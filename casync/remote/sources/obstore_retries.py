"""Calls of obstore to one bucket, made again while its server cannot be reached.

obstore itself makes one try (`casync.remote.sources.obstore_stores`): it retries without a word,
and also an address that is wrong.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import BaseError

from casync.remote.http.outage import Outage
from casync.remote.http.patience import Patience
from casync.remote.sources.obstore_calls import ObstoreCalls
from casync.remote.sources.obstore_errors import is_before_contact, loss_of
from casync.remote.sources.obstore_stores import Cloud
from casync.remote.sources.options import SourceOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obstore import ObjectMeta
    from obstore.store import ObjectStore

__all__ = ["PatientCalls"]

_T = TypeVar("_T")


class PatientCalls:
    """The calls to one bucket. Safe for threads.

    Args:
        bucket: Its address, for messages.
        cloud: Its cloud.
        options: For how long calls are made again, and what learns of outages.
    """

    def __init__(self, bucket: str, cloud: Cloud, options: SourceOptions) -> None:
        self._bucket = bucket
        self._cloud = cloud
        self._calls = ObstoreCalls()
        self._is_known = False
        self._patience = Patience(
            options.retry_for,
            lambda: self._is_known,
            Outage(bucket, options.watch, time.monotonic),
            pause=None,
            clock=time.monotonic,
            jitter=random.random,
        )

    def wait(self, call: Callable[[], _T]) -> _T:
        """Makes a call that can be repeated, in a thread of its own, and returns the result.

        Raises:
            StoppedError: `close` was called, before or meanwhile.
            Exception: What the call raises, the last time.
        """
        retry = self._patience.retry()
        while True:
            try:
                result = self._calls.wait(call)
            except (BaseError, OSError) as error:
                lost = loss_of(error, self._bucket, self._cloud)
                self._is_known = self._is_known or not is_before_contact(error)
                if lost is None:
                    retry.progress()
                    raise
                if not self._patience.waits(retry, lost):
                    raise
            else:
                self._is_known = True
                retry.progress()
                return result

    def once(self, call: Callable[[], _T]) -> _T:
        """As `wait`, for a call that cannot be repeated."""
        return self._calls.wait(call)

    def list(self, store: ObjectStore, prefix: str | None) -> Iterator[Sequence[ObjectMeta]]:
        """Lists the objects below a prefix, in pages.

        Raises:
            StoppedError: As `wait`.
            Exception: What obstore raises.
        """
        last: str | None = None
        pages: Iterator[Sequence[ObjectMeta]] | None = None

        def following() -> Sequence[ObjectMeta] | None:
            nonlocal pages
            asked = pages or iter(obstore.list(store, prefix, offset=last))
            pages = None  # one that fails has no more of them
            page = next(asked, None)
            pages = asked
            return page

        while (page := self.wait(following)) is not None:
            if page:
                last = page[-1]["path"]
                yield page

    def close(self) -> None:
        """Stops waiting for all calls, running ones and later ones."""
        self._patience.stop()
        self._calls.close()
