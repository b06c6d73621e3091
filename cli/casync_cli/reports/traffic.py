"""Network traffic, for the reports of several commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from casync.sizes import format_count, format_size
from casync_cli.output import Output

if TYPE_CHECKING:
    from casync.ops.pull.file import Pulled
    from casync.ops.pull_folder.pull import FolderPulled
    from casync.store.base import Traffic

__all__ = ["delta_fields", "say_sources", "seed_fields", "traffic_fields"]

_MOST_SEEDS: Final = 5
"""Seeds that are listed one by one, those of most bytes first."""


def traffic_fields(traffic: Traffic) -> dict[str, object]:
    """Requests and bytes, as fields of a JSON document."""
    return {"requests": traffic.requests, "received": traffic.received, "sent": traffic.sent}


def delta_fields(traffic: Traffic) -> dict[str, object]:
    """Bytes received as deltas and their plain bytes, as fields of a JSON document."""
    return {"delta_received": traffic.delta_bytes, "delta_plain": traffic.delta_plain}


def seed_fields(seeds: Mapping[Path, int]) -> list[dict[str, object]]:
    """The bytes of each seed, as a field of a JSON document."""
    return [{"path": os.path.abspath(path), "bytes": count} for path, count in seeds.items()]


def say_sources(output: Output, pulled: Pulled | FolderPulled, out: str | None) -> None:
    """Prints the sources of the bytes of a result, and the traffic.

    Args:
        output: Prints them.
        pulled: The result.
        out: The target as typed; its old content may have been a seed.
    """
    traffic = pulled.traffic
    for source, count in pulled.sources.items():
        if source != "seed":
            output.say(f"  from {source}: {format_size(count)}")
            continue
        for number, (path, part) in enumerate(pulled.seeds.items()):
            if number == _MOST_SEEDS:
                others = format_count(len(pulled.seeds) - number, "other seed")
                output.say(f"  from {others}: {format_size(count)}")
                break
            output.say(f"  from {_seed_label(path, out)}: {format_size(part)}")
            count -= part
    if traffic.requests:
        requests = format_count(traffic.requests, "request")
        output.say(f"  received {format_size(traffic.received)} in {requests}")
    if traffic.delta_bytes:
        output.say(
            f"  of that, {format_size(traffic.delta_bytes)} in deltas for "
            f"{format_size(traffic.delta_plain)} of chunks and nodes"
        )


def _seed_label(path: Path, out: str | None) -> str:
    """A seed as people know it: what the target was before, or a file."""
    real = os.path.realpath(path)
    if out is not None and real == os.path.realpath(out):
        return f"the old {out}"
    here = os.path.join(os.getcwd(), "")
    return real.removeprefix(here)
