"""Network traffic, for the reports of several commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from casync.sizes import format_count, format_size
from casync_cli.output import Output

if TYPE_CHECKING:
    from casync.store.base import Traffic

__all__ = ["delta_fields", "say_sources", "traffic_fields"]


def traffic_fields(traffic: Traffic) -> dict[str, object]:
    """Requests and bytes, as fields of a JSON document."""
    return {"requests": traffic.requests, "received": traffic.received, "sent": traffic.sent}


def delta_fields(traffic: Traffic) -> dict[str, object]:
    """Bytes received as deltas and their plain bytes, as fields of a JSON document."""
    return {"delta_received": traffic.delta_bytes, "delta_plain": traffic.delta_plain}


def say_sources(output: Output, sources: Mapping[str, int], traffic: Traffic) -> None:
    """Prints the sources of the bytes of a result, and the traffic."""
    for source, count in sources.items():
        output.say(f"  from {source}: {format_size(count)}")
    if traffic.requests:
        requests = format_count(traffic.requests, "request")
        output.say(f"  received {format_size(traffic.received)} in {requests}")
    if traffic.delta_bytes:
        output.say(
            f"  of that, {format_size(traffic.delta_bytes)} in deltas for "
            f"{format_size(traffic.delta_plain)} of chunks and nodes"
        )
