"""How much CPU time clients may take for deltas.

A stored payload costs nothing to send; a delta is packed anew for each who asks. So each client
has an allowance, and all together have one: seconds of CPU time that come back at a steady rate up
to a reserve. Who has spent it is served all the same, with plain frames. Must not know what is
packed.
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
"""Clients whose spending is known. Who is forgotten has a full reserve again, but so has nobody
more than all have together."""


class DeltaCpu:
    """The CPU time of one worker. Used by several threads.

    Args:
        settings: Rates and reserves.
        clock: Seconds, rising.
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
        """Charges `address` (None: a Unix socket) for the block, if it yields True."""
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
            self._clients[group] = client  # the one that asked last is forgotten last
            if len(self._clients) > _MAX_CLIENTS:
                self._clients.popitem(last=False)
            return client if min(self._all.left(now), client.left(now)) > 0 else None

    def _leave(self, client: TokenBucket, seconds: float) -> None:
        with self._lock:
            self._all.spend(seconds)
            client.spend(seconds)
