"""Statistics of a request: filled by its route, read by the access log and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

__all__ = ["RequestStats", "request_stats"]

_STATS: Final = "casync.request_stats"


@dataclass
class RequestStats:
    """What a route reports about a request.

    Attributes:
        objects: Objects sent, or received in a push.
        absent: Objects requested but not sent: missing, damaged or busy.
        deltas: Groups of objects sent as deltas.
        saved: Bytes that the deltas saved over the payloads of their objects.
        token: Id of the request's token; empty for none.
        note: What the operator should know, such as why the request failed.
        failed: Whether the server failed, though the status may not say so.
    """

    objects: int = 0
    absent: int = 0
    deltas: int = 0
    saved: int = 0
    token: str = ""
    note: str = ""
    failed: bool = False

    def fail(self, note: str) -> None:
        """Notes that the server failed, and why."""
        self.note, self.failed = note, True


def request_stats(scope: Scope) -> RequestStats:
    """The statistics of the current request."""
    stats = scope.setdefault(_STATS, RequestStats())
    assert isinstance(stats, RequestStats)
    return stats
