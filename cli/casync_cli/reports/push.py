"""Results and plans of a push, for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casync.sizes import format_count, format_size
from casync_cli.output import Output
from casync_cli.parsing.times import format_duration, format_moment
from casync_cli.reports.traffic import traffic_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casync.ops.push.push import Pushed
    from casync.store.push import OpenPush
    from casync_cli.short_ids import ShowId

__all__ = ["push_fields", "report_aborted", "report_push", "report_push_plan"]


def push_fields(pushes: Sequence[OpenPush]) -> list[dict[str, object]]:
    """Open pushes as JSON."""
    return [{"push": push.id.hex(), "heard": format_moment(push.heard)} for push in pushes]


def report_aborted(
    output: Output, pushes: Sequence[tuple[str, int | None]], *, dry_run: bool
) -> None:
    """Reports pushes that were ended, or would be: the id, and the time of the last request."""
    rows = [(push, None if heard is None else format_moment(heard)) for push, heard in pushes]
    if output.json_mode:
        fields = [{"push": push, "heard": heard} for push, heard in rows]
        output.document("casync.push-abort/1", {"pushes": fields})
    else:
        for push, heard in rows:
            output.row(push, heard or "")
    output.flush()
    if not pushes:
        output.say("no push is open")
        return
    verb = "would be ended" if dry_run else "ended; `casync gc` there makes room"
    output.say(f"{format_count(len(pushes), 'push')} {verb}")


def report_push(output: Output, pushed: Pushed, show: ShowId) -> None:
    """Reports a push: the hash, and the name with its version if one was set.

    Args:
        output: Prints it.
        pushed: The result.
        show: The digits to show of a hash beside a name.
    """
    record = pushed.name
    label = None if record is None else f"{record.name}@{record.version}"
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
    elif label is not None:
        output.row(show(pushed.manifest), label)
    else:
        output.row(pushed.manifest.hex())
    output.flush()
    what = "published" if pushed.published else "part complete"
    output.say(
        f"{label or show(pushed.manifest)}: {what}; sent {format_count(pushed.new, 'object')} of "
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
