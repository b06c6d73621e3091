"""Answers fetch requests: objects of a store, as answers for a stream of frames.

Payloads are sent as stored, after the store has compared each with its checksum. A group is sent as
a delta if the store has all its objects and the client has CPU time left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Final, TypeAlias

from casync.ids import Kind, ObjectId
from casync.limits import MAX_BATCH_BYTES
from casync.objects.codec import Unpacker
from casync.objects.delta import Delta, Group, Singles
from casync.ops.serve.deltas import make_delta
from casync.store.base import Absence, ObjectSource
from casync.wire.frames import Answer, Status
from casync.wire.requests import GroupsRequest
from casync_server.http.request_stats import RequestStats

__all__ = ["Turn", "answers"]

Turn: TypeAlias = Callable[[], AbstractContextManager[bool]]
"""Yields whether the block may make a delta; its CPU time is charged then."""

_STATUS: Final = {
    Absence.MISSING: Status.MISSING,
    Absence.DAMAGED: Status.DAMAGED,
    Absence.BUSY: Status.BUSY,
}
_FIRST_IDS: Final = 16
"""Ids in the first read, before the size of the objects is known."""

_MOST_IDS: Final = 512
"""Ids in a read: two parts of a piece for each."""


def answers(
    source: ObjectSource,
    request: GroupsRequest,
    size: Callable[[], int],
    stats: RequestStats,
    turn: Turn,
) -> Iterator[list[Answer]]:
    """Yields one answer per id or per group, in the order of the request, in batches.

    Reads about `size()` bytes at a time, or one group, and holds nothing between two batches; this
    bounds the memory for a slow client. An object that would make the answer larger than
    MAX_BATCH_BYTES of plain bytes, and all objects after it, are answered as busy: the client asks
    for them in its next request.
    """
    answering = _Answering(source, request.kind, size, stats, turn)
    if isinstance(request.groups, Singles):
        yield from answering.one_by_one(request.groups.ids)
        return
    for alone, groups in groupby(request.groups, lambda group: group.is_single):
        if alone:
            yield from answering.one_by_one([group.wanted[0] for group in groups])
            continue
        for group in groups:
            yield from answering.group(group)


class _Answering:
    def __init__(
        self,
        source: ObjectSource,
        kind: Kind,
        size: Callable[[], int],
        stats: RequestStats,
        turn: Turn,
    ) -> None:
        self._source = source
        self._kind = kind
        self._size = size
        self._stats = stats
        self._turn = turn
        self._unpacker = Unpacker()
        self._plain = self._stored = self._objects = 0
        self._count = _FIRST_IDS
        self._full = False

    def group(self, group: Group) -> Iterator[list[Answer]]:
        """The answers to a group."""
        made = None
        if not self._full:
            with self._turn() as allowed:
                if allowed:
                    room = MAX_BATCH_BYTES - self._plain
                    made = make_delta(self._source, self._kind, group, self._unpacker, room)
        if made is None:
            yield from self.one_by_one(group.wanted)
        else:
            yield [self._counted(*made)]

    def _counted(self, delta: Delta, saved: int) -> Delta:
        self._plain += delta.length
        self._stats.objects += len(delta.ids)
        self._stats.deltas += 1
        self._stats.saved += saved
        return delta

    def one_by_one(self, ids: Sequence[ObjectId]) -> Iterator[list[Answer]]:
        """The answers to ids, with stored payloads."""
        rest = list(ids)
        while rest and not self._full:
            yield self._batch(rest)
        self._stats.absent += len(rest)
        if rest:
            yield [Status.BUSY] * len(rest)

    def _batch(self, rest: list[ObjectId]) -> list[Answer]:
        """The answers to the first few of `rest`, which are removed from it."""
        answers: list[Answer] = []
        held, limit = 0, self._size()
        found = self._source.get(self._kind, rest[: self._count])
        for answer in found:
            if isinstance(answer, Absence):
                self._stats.absent += 1
                if answer is Absence.DAMAGED:
                    kind = self._kind.name.lower()
                    self._stats.fail(f"damaged {kind} {rest[len(answers)].hex()}")
                answers.append(_STATUS[answer])
                continue
            if self._plain and self._plain + answer.length > MAX_BATCH_BYTES:
                self._full = True
                break
            self._plain += answer.length
            held += len(answer.payload)
            self._objects += 1
            answers.append(answer)
            if held >= limit:
                break
        del rest[: len(answers)]
        self._stored += held
        self._stats.objects += sum(not isinstance(answer, Status) for answer in answers)
        fits = limit * max(self._objects, 1) // max(self._stored, 1)
        self._count = min(max(fits, 1), _MOST_IDS)
        return answers
