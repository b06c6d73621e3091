"""The order in which the old bytes of an in-place target move to other offsets.

A move reads a range of the old content and writes it elsewhere in the same file. It may be written
only when every other move that reads from the overwritten range has done so. Where moves wait for
each other in a circle, one of them is read into memory (the stash), or dropped when the stash is
full: the in-place reconstruction of Burns, Stockmeyer and Long (IEEE TKDE 15, 2003), with a stash.

Works on offsets alone, without bytes or files. Time is near-linear in the number of moves, given
that old ranges hardly overlap, as is true of chunks.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from casync.errors import UsageError

__all__ = ["Copy", "Drop", "Stash", "Move", "Unstash", "order_moves"]

_EFFORT: Final = 32
"""Groups visited per move in search of circles; beyond that, any waiting group is taken away."""

_UNREAD: Final = 0  # its bytes are at their old place only
_HELD: Final = 1  # in the stash
_PLACED: Final = 2  # at the target of one of its moves, which stays as it is
_LOST: Final = 3  # dropped


class Copy(msgspec.Struct, frozen=True, gc=False):
    """Read at `source`, write to the target of move `index`.

    Later moves of the same bytes read what the first of them wrote, not the old place.
    """

    index: int
    source: int


class Stash(msgspec.Struct, frozen=True, gc=False):
    """Read the source of move `index` into memory."""

    index: int


class Unstash(msgspec.Struct, frozen=True, gc=False):
    """Write the stashed bytes of move `index` to its target, and free them."""

    index: int


class Drop(msgspec.Struct, frozen=True, gc=False):
    """The stash is full: the bytes of move `index` must come from elsewhere."""

    index: int


Move: TypeAlias = Copy | Stash | Unstash | Drop


def order_moves(
    sources: Sequence[int], targets: Sequence[int], lengths: Sequence[int], stash_bytes: int
) -> Iterator[Move]:
    """Orders moves so that no byte is overwritten before it is read.

    Args:
        sources: Where each move reads, in bytes from the start. Equal sources of equal length are
            read once.
        targets: Where each move writes, in bytes: ascending, without overlaps.
        lengths: Bytes of each move, at least one.
        stash_bytes: Bytes that may be in memory at once between `Stash` and `Unstash`.

    Yields:
        Steps, to be taken in this order; every move is written or dropped once. Dropped moves, and
        everything that is not a move, may be written only after the last step.

    Raises:
        UsageError: Targets overlap or do not ascend.
    """
    end = 0
    for target, length in zip(targets, lengths, strict=True):
        if target < end or length < 1:
            raise UsageError("moves whose targets overlap or do not ascend")
        end = target + length
    return _MoveOrder(sources, targets, lengths, stash_bytes).steps()


class _MoveOrder:
    """Moves that read the same range form a group; it is read once.

    A group blocks the moves whose targets overlap its range, apart from its own. These moves are
    consecutive, because targets ascend.
    """

    def __init__(
        self,
        sources: Sequence[int],
        targets: Sequence[int],
        lengths: Sequence[int],
        stash_bytes: int,
    ) -> None:
        self._sources, self._targets, self._lengths = sources, targets, lengths
        self._room = stash_bytes
        count = len(sources)
        self._group_of = array("Q", bytes(8 * count))
        self._done = bytearray(count)
        self._pending = array("Q", bytes(8 * count))  # unread groups that block each move
        self._ready = array("Q")
        # Members of group g: _members[_starts[g] : _starts[g + 1]]
        self._members = array(
            "Q", sorted(sorted(range(count), key=lengths.__getitem__), key=sources.__getitem__)
        )
        self._starts = array("Q")
        # Group g blocks the moves _low[g] to _high[g] - 1.
        self._low, self._high = array("Q"), array("Q")
        self._form_groups()
        self._groups = len(self._low)
        self._states = bytearray(self._groups)
        self._homes = array("Q", bytes(8 * self._groups))  # the move that holds or has placed it
        self._path: list[int] = []  # groups, each waiting for the next one
        self._on_path = array("Q", bytes(8 * self._groups))  # place on the path, from 1
        self._broken = 0  # the path is valid below this place
        self._effort = _EFFORT * count
        self._cursor = array("Q")
        self._blockers = array("Q")

    def steps(self) -> Iterator[Move]:
        """All steps."""
        count = len(self._group_of)
        self._ready = array("Q", (index for index in range(count) if not self._pending[index]))
        undone = 0
        while True:
            yield from self._drain()
            undone = self._done.find(0, undone)
            if undone < 0:
                return
            yield from self._break_circle(undone)

    def _form_groups(self) -> None:
        sources, targets, lengths = self._sources, self._targets, self._lengths
        group_of, pending = self._group_of, self._pending
        starts, lows, highs = self._starts, self._low, self._high
        previous = (-1, -1)
        group = -1
        for at, index in enumerate(self._members):
            start, length = sources[index], lengths[index]
            if (start, length) != previous:
                previous = (start, length)
                group += 1
                low = bisect_right(targets, start)
                if low and targets[low - 1] + lengths[low - 1] > start:
                    low -= 1
                high = bisect_left(targets, start + length, low)
                starts.append(at)
                lows.append(low)
                highs.append(high)
                for blocked in range(low, high):
                    pending[blocked] += 1
            group_of[index] = group
            if lows[group] <= index < highs[group]:
                pending[index] -= 1  # a move does not block itself
        starts.append(len(self._members))

    def _drain(self) -> Iterator[Move]:
        """Takes all unblocked moves, first come, first served: adjacent ones stay adjacent."""
        ready, done, states = self._ready, self._done, self._states
        sources, targets, homes = self._sources, self._targets, self._homes
        head = 0
        while head < len(ready):
            index = ready[head]
            head += 1
            group = self._group_of[index]
            state = states[group]
            if done[index]:
                continue
            if state == _PLACED:
                done[index] = 1
                yield Copy(index, targets[homes[group]])
            elif state == _UNREAD:
                done[index] = 1
                yield Copy(index, sources[index])
                states[group] = _PLACED
                homes[group] = index
                self._release(group)
            elif homes[group] == index:
                done[index] = 1
                yield Unstash(index)
                states[group] = _PLACED
                self._room += self._lengths[index]
                ready.extend(m for m in self._members_of(group) if not self._pending[m])
        del ready[:]

    def _release(self, group: int) -> None:
        """Unblocks the moves of a group whose range has been read or dropped."""
        pending, group_of = self._pending, self._group_of
        for index in range(self._low[group], self._high[group]):
            if group_of[index] != group:
                pending[index] -= 1
                if not pending[index]:
                    self._ready.append(index)
        place = self._on_path[group]
        if place:
            self._broken = min(self._broken, place - 1)

    def _members_of(self, group: int) -> array[int]:
        return self._members[self._starts[group] : self._starts[group + 1]]

    def _break_circle(self, undone: int) -> Iterator[Move]:
        """Stashes or drops one group of a circle.

        Follows blockers until one of them repeats. The rest of the path serves the next search.
        The first group of a circle in file order is taken: stashing adjacent groups makes room for
        whole runs of moves, one run after the other.
        """
        path, on_path = self._path, self._on_path
        self._cut_path(self._broken)
        waiting = self._members[self._starts[path[-1]]] if path else undone
        while True:
            group = self._blocker(waiting)
            first = on_path[group]
            if first:
                circle = path[first - 1 :]
                self._effort -= len(circle)
                break
            path.append(group)
            on_path[group] = len(path)
            self._effort -= 1
            if self._effort < 0:
                circle = [group]
                break
            waiting = self._members[self._starts[group]]
        self._broken = len(path)
        yield from self._take_away(min(circle, key=self._low.__getitem__))

    def _take_away(self, group: int) -> Iterator[Move]:
        length = self._length_of(group)
        if length <= self._room:
            self._room -= length
            holder = self._members[self._starts[group]]
            self._states[group] = _HELD
            self._homes[group] = holder
            yield Stash(holder)
        else:
            self._states[group] = _LOST
            for index in self._members_of(group):
                self._done[index] = 1
                yield Drop(index)
        self._release(group)

    def _length_of(self, group: int) -> int:
        return self._lengths[self._members[self._starts[group]]]

    def _cut_path(self, length: int) -> None:
        for group in self._path[length:]:
            self._on_path[group] = 0
        del self._path[length:]

    def _blocker(self, index: int) -> int:
        """An unread group that blocks a move. There is one, as the move is not done."""
        if not self._cursor:
            self._find_blockers()
        at = self._cursor[index]
        own = self._group_of[index]
        while self._states[self._blockers[at]] != _UNREAD or self._blockers[at] == own:
            at += 1
        self._cursor[index] = at
        return self._blockers[at]

    def _find_blockers(self) -> None:
        """Inverts the relation: lists for each move the groups that block it."""
        counts = array("Q", bytes(8 * (len(self._group_of) + 1)))
        for low, high in zip(self._low, self._high, strict=True):
            for index in range(low, high):
                counts[index + 1] += 1
        total = 0
        for index, count in enumerate(counts):
            total += count
            counts[index] = total
        self._cursor = array("Q", counts)
        self._blockers = array("Q", bytes(8 * total))
        for group, (low, high) in enumerate(zip(self._low, self._high, strict=True)):
            for index in range(low, high):
                self._blockers[self._cursor[index]] = group
                self._cursor[index] += 1
        self._cursor = counts
