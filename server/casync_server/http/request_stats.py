"""What a request cost: gathered by its route, read by the access log and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

__all__ = ["RequestStats", "request_stats"]

_STATS: Final = "casync.request_stats"


@dataclass
class RequestStats:
    """What a route adds to the line of its request.

    Attributes:
        objects: Objects that were sent.
        absent: Objects that were asked for and not sent: missing, damaged or busy.
        deltas: Groups of objects that were sent as deltas.
        saved: Bytes by which these were shorter than the payloads of their objects.
        token: Which token it came with; empty for none.
        note: Why the answer is not what was asked for, for the operator.
    """

    objects: int = 0
    absent: int = 0
    deltas: int = 0
    saved: int = 0
    token: str = ""
    note: str = ""


def request_stats(scope: Scope) -> RequestStats:
    """The tally of the request under way."""
    stats = scope.setdefault(_STATS, RequestStats())
    assert isinstance(stats, RequestStats)
    return stats
