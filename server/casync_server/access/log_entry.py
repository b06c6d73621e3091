"""A line of the access log. Imports little, as log_sink.py."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from casync.escape import escape
from casync_server.http.request_stats import RequestStats

__all__ = ["LogEntry", "format_entry"]

_SHOWN: Final = 2048
"""Characters of a target that a log line shows."""


@dataclass(frozen=True)
class LogEntry:
    """A finished request. `status` is 0 if there was no answer."""

    client: str
    method: str
    target: str
    status: int
    bytes: int
    seconds: float
    stats: RequestStats


def format_entry(entry: LogEntry, form: Literal["text", "json"], now: datetime) -> str:
    """The line of `entry`, without its newline. `now` is aware."""
    stamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    stats = entry.stats
    if form == "json":
        fields = {
            "time": stamp,
            "client": entry.client,
            "token": stats.token,
            "method": escape(entry.method),
            "path": escape(entry.target[:_SHOWN]),
            "status": entry.status,
            "objects": stats.objects,
            "absent": stats.absent,
            "deltas": stats.deltas,
            "saved": stats.saved,
            "bytes": entry.bytes,
            "seconds": round(entry.seconds, 6),
            "note": escape(stats.note),
        }
        return json.dumps(fields, ensure_ascii=True)
    target = escape(entry.target[:_SHOWN])
    line = (
        f"{stamp} {entry.client or '-'} {escape(entry.method) or '-'} {target or '-'}"
        f" {entry.status} objects={stats.objects} bytes={entry.bytes} seconds={entry.seconds:.3f}"
    )
    if stats.absent:
        line += f" absent={stats.absent}"
    if stats.deltas:
        line += f" deltas={stats.deltas} saved={stats.saved}"
    if stats.token:
        line += f" token={stats.token}"
    return f"{line} ({escape(stats.note)})" if stats.note else line
