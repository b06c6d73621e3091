"""Accounts for the memory of answers, and shares it among addresses.

Bytes count from before they are read until the kernel has taken them. Of one half of the memory an
address may hold as much as is left for all others: one alone a quarter of the total, each of two a
sixth (dynamic thresholds, Choudhury and Hahne 1998). The other half is for addresses that hold
nothing yet, and for objects that turn out to be larger than the piece that was asked for. So there
is room for one more address, however many clients do not read what they asked for.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from casync.limits import KIB
from casync_server.limits.rate_limit import address_of

__all__ = ["AnswerAccount", "AnswerMemory", "CountedAnswers"]

_MIN_PIECE: Final = 64 * KIB

_PIECES: Final = 2
"""Pieces of an answer in memory: one made, one being sent."""


class AnswerMemory:
    """The memory for the answers of one worker.

    Used on the event loop; what says so is safe in threads.

    Args:
        total: Bytes for all answers together. They are exceeded by no more than the objects that
            are being read, one in a thread.
        largest: Largest size of a piece, in bytes.

    Attributes:
        used: Bytes that answers hold.
        peak: The most that they held since it was last reset.
    """

    def __init__(self, total: int, largest: int) -> None:
        self._total = total
        self._shared = total // 2
        self._largest = largest
        self._lock = threading.Lock()
        self._held: Counter[str | None] = Counter()
        self._answers: Counter[str | None] = Counter()
        self._waiting: deque[_Waiting] = deque()
        self.used = 0
        self.peak = 0

    def open(self, address: str | None) -> AnswerAccount:
        """Begins an answer to `address` (None: a Unix socket)."""
        self._answers[address] += 1
        return AnswerAccount(self, address)

    def end(self, address: str | None) -> None:
        """Ends an answer."""
        self._answers[address] -= 1
        if not self._answers[address]:
            del self._answers[address]

    def piece_bytes(self, address: str | None) -> int:
        """Size of the next piece for `address`, in bytes. Safe in threads."""
        room = (self._shared - self.used + self._held[address]) // 2
        share = room // (_PIECES * max(self._answers[address], 1))
        return min(max(share, _MIN_PIECE), self._largest)

    async def take(self, address: str | None) -> int:
        """Waits until `address` may hold a further piece, then counts it. Returns its bytes."""
        size = self.piece_bytes(address)
        if self.fits(address, size):
            self.add(address, size)
            return size
        taken: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(address, taken))
        try:
            return await taken
        except asyncio.CancelledError:
            if taken.done() and not taken.cancelled():
                self.add(address, -taken.result())
            raise

    def fits(self, address: str | None, size: int, taken: int = 0) -> bool:
        """Whether `address` may hold `size` bytes more. Safe in threads.

        Args:
            address: The address.
            size: Bytes.
            taken: Bytes that count already and are not looked at.
        """
        held, used = self._held[address] - taken, self.used - taken
        if not held and (not used or used + size <= self._total):
            return True
        return held + size <= self._shared - used

    def add(self, address: str | None, size: int) -> None:
        """Counts bytes without waiting, or with a negative `size` bytes that are gone.

        Safe in threads for a positive `size`.
        """
        with self._lock:
            self.used += size
            self.peak = max(self.peak, self.used)
            self._held[address] += size
            if not self._held[address]:
                del self._held[address]
        if size < 0 and self._waiting:
            self._wake()

    def _wake(self) -> None:
        """Serves those that wait, in order; one that does not fit does not hold up others."""
        waiting, self._waiting = self._waiting, deque()
        for one in waiting:
            size = self.piece_bytes(one.address)
            if one.taken.done():
                continue
            if self.fits(one.address, size):
                self.add(one.address, size)
                one.taken.set_result(size)
            else:
                self._waiting.append(one)


class AnswerAccount:
    """What one answer holds.

    Args:
        memory: The memory.
        address: Whom it is for.
    """

    def __init__(self, memory: AnswerMemory, address: str | None) -> None:
        self._memory = memory
        self._address = address
        self._lock = threading.Lock()
        self._held = 0
        self._open = True

    def piece_bytes(self) -> int:
        """Size of the next piece, in bytes. Safe in threads."""
        return self._memory.piece_bytes(self._address)

    async def take(self) -> int:
        """Waits for room for a piece. Returns the bytes that now count for it."""
        size = await self._memory.take(self._address)
        self._held += size
        return size

    def has_room(self, taken: int) -> bool:
        """Whether a piece that `taken` bytes count for may still be made. Safe in threads.

        What was made since may have turned out to be larger than what was taken for it.
        """
        return self._memory.fits(self._address, taken, taken)

    def add(self, size: int) -> None:
        """Counts bytes that were made, or with a negative `size` bytes that are gone.

        Safe in threads for a positive `size`.
        """
        with self._lock:
            if self._open:
                self._held += size
                self._memory.add(self._address, size)

    def close(self) -> None:
        """Ends the answer; it holds nothing any more."""
        with self._lock:
            held, self._held = self._held, 0
            was_open, self._open = self._open, False
        if was_open:
            self._memory.add(self._address, -held)
            self._memory.end(self._address)


class CountedAnswers:
    """ASGI middleware that counts bodies that are sent as a whole. Streams count themselves.

    Args:
        app: The application behind it.
        memory: The memory.
    """

    def __init__(self, app: ASGIApp, memory: AnswerMemory) -> None:
        self._app = app
        self._memory = memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = address_of(scope)

        async def counted(message: Message) -> None:
            size = len(message.get("body", b""))
            self._memory.add(address, size)
            try:
                await send(message)
            finally:
                self._memory.add(address, -size)

        await self._app(scope, receive, counted)


class _Waiting(NamedTuple):
    """An answer that waits for room, and the bytes that it gets."""

    address: str | None
    taken: asyncio.Future[int]
