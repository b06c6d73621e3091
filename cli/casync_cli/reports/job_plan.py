"""The plan of a job: what it would fetch, skip and remove."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from casync.errors import PartialError
from casync.sizes import format_count, format_size
from casync_cli.columns import Column, sizes

if TYPE_CHECKING:
    from casync.jobs.spec import JobSpec
    from casync.ops.download.forecast import PlannedObject
    from casync.wire.job_plan import JobPlan
    from casync_cli.output import Output

__all__ = ["report_job_plan", "report_served_plan"]

_SAID: Final = {
    "fetch": "to fetch",
    "ask": "to ask the source about",
    "skip": "unchanged",
    "remove": "to remove",
    "fail": "that cannot be fetched",
}
"""What is said of each action, in the order in which it is said."""


def report_served_plan(output: Output, spec: JobSpec, plan: JobPlan) -> None:
    """As `report_job_plan`, for the plan that a server made."""
    from casync.ops.download.forecast import JobAction, PlannedObject

    planned = (
        PlannedObject(JobAction(one.action), one.name, one.size, one.url, one.reason or "")
        for one in plan.objects
    )
    report_job_plan(output, spec, planned, more=plan.more)


def report_job_plan(
    output: Output, spec: JobSpec, plan: Iterable[PlannedObject], *, more: bool = False
) -> None:
    """Prints a plan as it is made, and counts at its end.

    Args:
        output: Prints it.
        spec: What the job does.
        plan: Its objects, then the names to remove.
        more: Whether it goes on behind these.

    Raises:
        PartialError: Some objects cannot be fetched.
    """
    listing = output.listing(
        Column("action", 6), sizes("size"), Column("name"), Column("source"), Column("reason")
    )
    counts: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    entries: list[dict[str, object]] = []
    for action, name, size, url, reason in plan:
        counts[action.value] += 1
        lengths[action.value] += size or 0
        if output.json_mode:
            fields = {"action": action.value, "name": name, "size": size, "url": url}
            entries.append({**fields, "reason": reason or None})
        else:
            listing.row(action.value, size, name, url, *([reason] if reason else []))
    if output.json_mode:
        without = spec.without_secrets()
        output.document(
            "casync.download-plan/1",
            {
                "description": spec.description,
                "source": without.source,
                "destination": spec.dest,
                **{each: counts[each] for each in _SAID},
                "objects": entries,
                "more": more,
            },
        )
    output.flush()
    said = []
    for each, words in _SAID.items():
        if counts[each]:
            length = f" ({format_size(lengths[each])})" if lengths[each] else ""
            noun = "name" if each == "remove" else "object"
            said.append(f"{format_count(counts[each], noun)} {words}{length}")
    if said or not more:
        output.say("; ".join(said) or "nothing to do")
    if more:
        output.say("This is the beginning: a server plans no more than one answer of it can hold.")
    if counts["fail"]:
        raise PartialError(
            f"{counts['fail']} of {format_count(sum(counts.values()), 'object')} would fail",
            next_step="The plan has the reasons.",
        )
