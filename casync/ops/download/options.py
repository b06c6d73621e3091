"""How a job is run here, beside what its specification says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from casync.jobs.backoff import RetryPolicy
from casync.objects.codec import DEFAULT_LEVEL
from casync.ops.download.shared_bounds import SharedBounds

__all__ = ["RunOptions"]

_POLICY: Final = RetryPolicy()


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a job is run here.

    Attributes:
        now: The time in seconds since 1970.
        random: A number from 0 to 1, for the jitter of waits.
        clock: Monotonic clock in seconds.
        level: zstd level of new payloads.
        per_host: Requests to one host that run at the same time.
        policy: How often an object is tried, and how long to wait between.
        shared: Bounds this job together with others; None if it runs alone.
    """

    now: Callable[[], float]
    random: Callable[[], float]
    clock: Callable[[], float] = time.monotonic
    level: int = DEFAULT_LEVEL
    per_host: int = 8
    policy: RetryPolicy = _POLICY
    shared: SharedBounds | None = None
