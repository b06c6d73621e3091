"""Limits the CPU time that clients use for deltas.

A stored payload costs almost no CPU time to send; a delta is packed for each request. So CPU time
for deltas is limited per client and for all clients together, each by a token bucket. A client that
has used up its share is served plain frames.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from casync_server.limits.connection_count import address_group
from casync_server.limits.token_bucket import TokenBucket
from casync_server.settings import ServerSettings

__all__ = ["DeltaCpu"]

_MAX_CLIENTS: Final = 4096
"""Clients whose bucket is kept. A forgotten client gets a full bucket again, but the bucket of all
clients still limits it."""


class DeltaCpu:
    """The CPU time of one worker. Used by several threads.

    Args:
        settings: Rates and reserves.
        clock: Monotonic seconds.
        cpu: Seconds of CPU time of the calling thread.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._cpu = cpu
        self._lock = threading.Lock()
        self._all = TokenBucket(settings.delta_cpu, settings.delta_reserve, clock())
        self._clients: OrderedDict[str, TokenBucket] = OrderedDict()

    @contextmanager
    def turn(self, address: str | None) -> Iterator[bool]:
        """Yields whether a delta may be made; if so, charges `address` for the block."""
        client = self._enter(address)
        started = self._cpu()
        try:
            yield client is not None
        finally:
            if client is not None:
                self._leave(client, self._cpu() - started)

    def _enter(self, address: str | None) -> TokenBucket | None:
        group = "" if address is None else address_group(address)
        with self._lock:
            now = self._clock()
            client = self._clients.pop(group, None) or TokenBucket(
                self._settings.delta_client_cpu, self._settings.delta_client_reserve, now
            )
            self._clients[group] = client  # last: the least recent client is forgotten first
            if len(self._clients) > _MAX_CLIENTS:
                self._clients.popitem(last=False)
            return client if min(self._all.left(now), client.left(now)) > 0 else None

    def _leave(self, client: TokenBucket, seconds: float) -> None:
        with self._lock:
            self._all.spend(seconds)
            client.spend(seconds)
