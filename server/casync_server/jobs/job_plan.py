"""What a job would do, as far as one request can tell: bounded in objects, bytes and time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

from casync.errors import CasyncError
from casync.limits import MIB, PAGE_ITEMS
from casync.ops.download.forecast import PlannedObject
from casync.wire.job_plan import JobPlan, PlanItem, plan_item

__all__ = ["PLAN_SECONDS", "first_planned"]

PLAN_SECONDS: Final = 20.0
"""Seconds for which one request lists a source."""

_MOST_BYTES: Final = MIB
"""Bytes of the names, addresses and reasons of one answer."""


def first_planned(
    plan: Iterable[PlannedObject], close: Callable[[], None], seconds: float = PLAN_SECONDS
) -> JobPlan:
    """The first objects of a plan.

    Args:
        plan: The plan, which is made as it is read.
        close: Closes the sources that it reads, so that it ends with an error. Called by a thread.
        seconds: Time after which no more of it is made.

    Raises:
        CasyncError: What making the plan raises before that.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        close()

    timer = threading.Timer(seconds, end)
    timer.start()
    found: list[PlanItem] = []
    size = 0
    try:
        for each in plan:
            item = plan_item(each.action.value, each.name, each.size, each.url, each.reason)
            size += len(item.name) + len(item.url) + len(item.reason or "")
            if late.is_set() or len(found) == PAGE_ITEMS or size > _MOST_BYTES:
                return JobPlan(found, more=True)
            found.append(item)
    except CasyncError:
        if not late.is_set():
            raise
        return JobPlan(found, more=True)
    finally:
        timer.cancel()
        timer.join()
    return JobPlan(found, more=False)
