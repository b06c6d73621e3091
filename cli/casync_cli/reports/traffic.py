"""What went over the network, for all commands that talk about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from casync.sizes import format_size
from casync_cli.output import Output

if TYPE_CHECKING:
    from casync.store.base import Traffic

__all__ = ["delta_fields", "say_sources", "traffic_fields"]


def traffic_fields(traffic: Traffic) -> dict[str, object]:
    """Its part of a JSON document."""
    return {"requests": traffic.requests, "received": traffic.received, "sent": traffic.sent}


def delta_fields(traffic: Traffic) -> dict[str, object]:
    """How much of what was received were deltas, and what they stood for."""
    return {"delta_received": traffic.delta_bytes, "delta_plain": traffic.delta_plain}


def say_sources(output: Output, sources: Mapping[str, int], traffic: Traffic) -> None:
    """Says where the bytes of a result come from, and what was received for it."""
    for source, count in sources.items():
        output.say(f"  from {source}: {format_size(count)}")
    if traffic.requests:
        output.say(f"  received {format_size(traffic.received)} in {traffic.requests} requests")
    if traffic.delta_bytes:
        output.say(
            f"  of that {format_size(traffic.delta_bytes)} as deltas, which stood for "
            f"{format_size(traffic.delta_plain)}"
        )
