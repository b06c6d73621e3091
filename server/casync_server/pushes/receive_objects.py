"""Receives objects from clients: reads a body in parts, verifies each object, and commits.

An object is stored only if its bytes hash to its id. Objects verified before a body breaks off are
kept, so a client on a bad line makes progress with each retry.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import ClientDisconnect, Request

from casync.errors import IntegrityError, MalformedError, StoppedError, UnreachableError, UsageError
from casync.limits import COMMIT_BYTES, KIB, OBJECT_BYTES
from casync.objects.codec import Packed, Unpacker, Verified
from casync.store.base import Committed
from casync.wire.edits import RefusedItem, TakenItem
from casync.wire.uploads import UploadReader
from casync_server.reading.read_pool import ReadPool
from casync_server.settings import ServerSettings

__all__ = ["Keep", "ObjectReceiver"]

_MOST_SECONDS: Final = 1.0
"""Seconds between commits of a body; a killed server loses at most this much of it."""

Keep = Callable[[list[Verified]], Committed]
"""Stores objects durably; called in a thread."""


_MIN_PIECE: Final = 64 * KIB
_PIECES: Final = 3
"""Pieces of a body in memory: one arriving, one verified, one written."""


class ObjectReceiver:
    """Receives bodies, and limits their number and memory.

    Args:
        settings: The limits.
        pool: Threads that verify and store objects.
    """

    def __init__(self, settings: ServerSettings, pool: ReadPool) -> None:
        self._pool = pool
        self._bytes = settings.push_bytes
        self._active = 0
        self._slots = asyncio.Semaphore(settings.push_bodies)
        self._patience = settings.push_wait

    async def take(self, request: Request, keep: Keep) -> TakenItem:
        """Reads a body to its end and stores its objects.

        Raises:
            UsageError: The body is malformed.
            UnreachableError: Too many bodies are being received.
            StoppedError: The client disconnected.
            CasyncError: What `keep` raises.
        """
        async with self._slot():
            return await _Body(self._pool, self._piece_bytes, keep).take(request)

    def _piece_bytes(self) -> int:
        share = self._bytes // (_PIECES * max(self._active, 1))
        return min(max(share, _MIN_PIECE), COMMIT_BYTES)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                await self._slots.acquire()
        except TimeoutError as error:
            raise UnreachableError("too many uploads in progress") from error
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1
            self._slots.release()


class _Body:
    """Receives one body."""

    def __init__(self, pool: ReadPool, size: Callable[[], int], keep: Keep) -> None:
        self._pool = pool
        self._size = size
        self._keep = keep
        self._reader = UploadReader()
        self._objects: list[Packed] = []
        self._bytes = 0
        self._due = time.monotonic() + _MOST_SECONDS
        self._taken = 0
        self._known = 0
        self._refused: list[RefusedItem] = []

    async def take(self, request: Request) -> TakenItem:
        """As `ObjectReceiver.take`."""
        try:
            async for part in request.stream():
                for packed in self._reader.feed(part):
                    self._objects.append(packed)
                    self._bytes += len(packed.payload) + OBJECT_BYTES
                if self._bytes >= self._size() or time.monotonic() >= self._due:
                    await self._flush()
            self._reader.finish()
        except MalformedError as error:
            await self._flush()
            raise UsageError(f"the body is not a valid list of objects: {error.message}") from error
        except ClientDisconnect as error:
            await self._flush()
            raise StoppedError("the client disconnected") from error
        await self._flush()
        return TakenItem(self._taken, self._known, self._refused)

    async def _flush(self) -> None:
        if self._objects:
            objects, self._objects, self._bytes = self._objects, [], 0
            await self._pool.run(self._prove_and_keep, objects)
        self._due = time.monotonic() + _MOST_SECONDS

    def _prove_and_keep(self, objects: list[Packed]) -> None:
        unpacker = Unpacker()
        proved: list[Verified] = []
        for packed in objects:
            try:
                verified, _ = unpacker.verify(packed)
            except IntegrityError:
                self._refused.append(RefusedItem(packed.kind, packed.id.hex()))
            else:
                proved.append(verified)
        if proved:
            new = self._keep(proved).objects
            self._taken += new
            self._known += len(proved) - new
