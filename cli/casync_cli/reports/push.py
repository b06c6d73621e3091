"""Results and plans of a push, for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casync.sizes import format_count, format_size
from casync_cli.output import Output
from casync_cli.parsing.times import format_duration
from casync_cli.reports.traffic import traffic_fields

if TYPE_CHECKING:
    from casync.ops.push.push import Pushed

__all__ = ["report_push", "report_push_plan"]


def report_push(output: Output, pushed: Pushed) -> None:
    """Reports a push: the hash, and the name with its version if one was set."""
    record = pushed.name
    if output.json_mode:
        output.document(
            "casync.push/1",
            {
                "manifest": pushed.manifest.hex(),
                "name": record.name if record else None,
                "version": record.version if record else None,
                "published": pushed.published,
                "length": pushed.length,
                "objects": pushed.objects,
                "new": pushed.new,
                "payload": pushed.payload,
                **traffic_fields(pushed.traffic),
                "seconds": round(pushed.seconds, 3),
            },
        )
    elif record is not None:
        output.row(pushed.manifest.hex(), f"{record.name}@{record.version}")
    else:
        output.row(pushed.manifest.hex())
    output.flush()
    what = "published" if pushed.published else "part complete"
    output.say(
        f"{pushed.manifest.hex()}: {what}; sent {format_count(pushed.new, 'object')} of "
        f"{format_size(pushed.payload)} in {format_duration(pushed.seconds)}"
    )
    requests = format_count(pushed.traffic.requests, "request")
    output.say(f"  sent {format_size(pushed.traffic.sent)} in {requests}")


def report_push_plan(output: Output, plan: Pushed) -> None:
    """Reports the plan of a push."""
    if output.json_mode:
        output.document(
            "casync.push-plan/1",
            {
                "manifest": plan.manifest.hex(),
                "length": plan.length,
                "objects": plan.objects,
                "new": plan.new,
                "payload": plan.payload,
            },
        )
        return
    output.row("manifest", plan.manifest.hex())
    for label, count in (("length", plan.length), ("send", plan.payload)):
        output.row(label, format_size(count) if output.to_terminal else str(count))
    output.row("objects", str(plan.new))
