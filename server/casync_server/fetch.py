"""What a fetch request is answered with: objects of a store as parts of a stream of frames.

Payloads go out as they are stored; the store compared each with its check. Must not know about
HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Final

from casync.frames import Answer, IdsRequest, Status
from casync.limits import MAX_BATCH_BYTES, MAX_BATCH_IDS
from casync.store.base import Absence, ObjectSource
from casync_server.access_log import Tally

__all__ = ["answers"]

_STATUS: Final = {
    Absence.MISSING: Status.MISSING,
    Absence.DAMAGED: Status.DAMAGED,
    Absence.BUSY: Status.BUSY,
}
_FIRST_IDS: Final = 16
"""Ids of the first read, before anything is known about the size of these objects."""


def answers(
    source: ObjectSource, request: IdsRequest, size: Callable[[], int], tally: Tally
) -> Iterator[Answer]:
    """Yields one answer per id, in the order asked.

    Reads about `size()` bytes at a time, so that what a slow client has not taken yet is bounded
    by that. Objects that would make the answer larger than MAX_BATCH_BYTES of plain bytes, and all
    after them, are answered as busy: the client may ask for them in its next request.
    """
    kind, ids = request
    at, plain, stored, objects = 0, 0, 0, 0
    count = _FIRST_IDS
    while at < len(ids):
        for answer in source.get(kind, ids[at : at + count]):
            if isinstance(answer, Absence):
                tally.absent += 1
                if answer is Absence.DAMAGED:
                    tally.note = f"damaged {kind.name.lower()} {ids[at].hex()}"
                yield _STATUS[answer]
            elif objects and plain + answer.length > MAX_BATCH_BYTES:
                yield from _busy(len(ids) - at, tally)
                return
            else:
                plain += answer.length
                stored += len(answer.payload)
                objects += 1
                tally.objects += 1
                yield answer
            at += 1
        count = min(max(size() * max(objects, 1) // max(stored, 1), 1), MAX_BATCH_IDS)


def _busy(count: int, tally: Tally) -> Iterator[Status]:
    tally.absent += count
    yield from repeat(Status.BUSY, count)
