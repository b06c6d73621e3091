"""Requests to one server with small answers, made again while that may help."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from casync.errors import UnreachableError
from casync.limits import MIB
from casync.remote.http.outage import Outage
from casync.remote.http.patience import Patience
from casync.remote.http.retry import Retry
from casync.remote.server.message import Reply, Request
from casync.remote.server.transport import Transport
from casync.remote.server.transport_options import TransportOptions

__all__ = ["MAX_SMALL_BYTES", "Calls"]

MAX_SMALL_BYTES: Final = 8 * MIB
"""Bytes of the largest document that is read whole: a page of the longest names, with slack."""

_Answer = TypeVar("_Answer")


class Calls:
    """Used by several threads at once.

    Args:
        url: The server's address.
        options: Options of the transport.
        pause: Waits for the given seconds; `close` interrupts the default.
        clock: Monotonic clock in seconds, for the retry budget.
        jitter: Returns a random number from 0 to 1.

    Attributes:
        transport: What sends the requests.
        patience: Makes retries.

    Raises:
        UsageError: The address or an option is invalid.
    """

    def __init__(
        self,
        url: str,
        options: TransportOptions,
        *,
        pause: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.transport = Transport(url, options)
        self.patience = Patience(
            options.retry_for,
            lambda: self.transport.connected,
            Outage(self.transport.origin, options.watch, clock, options.peers),
            pause=pause,
            clock=clock,
            jitter=jitter,
        )

    def close(self) -> None:
        """Closes all connections. Threads that wait for the server get StoppedError."""
        self.patience.stop()
        self.transport.close()

    def read(self, request: Request, max_bytes: int = MAX_SMALL_BYTES) -> Reply:
        """Reads an answer whole.

        Args:
            request: The request.
            max_bytes: Bytes of the largest acceptable answer.

        Raises:
            CasyncError: As `Transport.read`; UnreachableError once the retry budget is used up.
        """
        return self._again(partial(self.transport.read, request, max_bytes))

    def read_part(self, request: Request, max_bytes: int) -> memoryview:
        """Reads a part of a resource; fewer bytes at its end.

        Args:
            request: The request.
            max_bytes: Bytes of the largest acceptable answer.

        Raises:
            CasyncError: As `read`.
        """
        return self._again(partial(self.transport.read_part, request, max_bytes))

    def _again(self, read: Callable[[Retry], _Answer]) -> _Answer:
        retry = self.patience.retry()
        while True:
            try:
                answer = read(retry)
                retry.progress()
                return answer
            except UnreachableError as error:
                self.patience.wait(retry, error)
