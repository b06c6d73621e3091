"""The JSON document of a plan: what a job would do, object by object."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from casync.limits import PAGE_ITEMS
from casync.wire.documents import Length, Text
from casync.wire.job_request import MAX_SOURCE, Address, WireName
from casync.wire.jobs import cut_text

__all__ = ["JobPlan", "PlanAction", "PlanItem", "plan_item"]

PlanAction: TypeAlias = Literal["fetch", "ask", "skip", "remove", "fail"]


class PlanItem(msgspec.Struct, frozen=True):
    """An object of a job, or a name to remove.

    Attributes:
        action: What the job would do.
        name: The name; empty if it can have none.
        size: Its size in bytes; null if it is not known.
        url: Its address without secrets; empty for a name to remove.
        reason: Why it would fail, or null.
    """

    action: PlanAction
    name: WireName
    size: Length | None
    url: Address
    reason: Text | None


class JobPlan(msgspec.Struct, frozen=True):
    """The first objects of a job; `more`: it has or may have further ones."""

    objects: Annotated[list[PlanItem], msgspec.Meta(max_length=PAGE_ITEMS)]
    more: bool


def plan_item(action: PlanAction, name: str, size: int | None, url: str, reason: str) -> PlanItem:
    """The document of a planned object, cut to the bounds of its fields."""
    return PlanItem(action, name, size, url[:MAX_SOURCE], cut_text(reason) or None)
