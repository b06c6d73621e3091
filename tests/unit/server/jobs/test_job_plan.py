"""A plan that a server makes ends in time, and with few objects."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from casync_server.jobs.job_plan import first_planned

from casync.errors import NotFoundError, UnreachableError
from casync.limits import PAGE_ITEMS
from casync.ops.download.forecast import JobAction, PlannedObject

ONE = PlannedObject(JobAction.FETCH, "name", 1, "http://h/x")


def never_closed() -> None:
    raise AssertionError("closed too early")


def test_a_short_plan_is_whole() -> None:
    plan = first_planned([ONE] * PAGE_ITEMS, never_closed)
    assert (len(plan.objects), plan.more) == (PAGE_ITEMS, False)
    plan = first_planned([ONE] * (PAGE_ITEMS + 1), never_closed)
    assert (len(plan.objects), plan.more) == (PAGE_ITEMS, True)


def test_long_texts_leave_room_for_fewer_objects() -> None:
    long = ONE._replace(url="http://h/" + "x" * 16_000)
    plan = first_planned([long] * 500, never_closed)
    assert (50 < len(plan.objects) < 70, plan.more) == (True, True)


def test_a_source_that_lists_for_ever_is_closed() -> None:
    closed = threading.Event()

    def slowly() -> Iterator[PlannedObject]:
        yield ONE
        closed.wait(60)
        raise UnreachableError("closed")

    plan = first_planned(slowly(), closed.set, 0.01)
    assert (len(plan.objects), plan.more) == (1, True)


def test_a_source_that_fails_in_time_is_an_error() -> None:
    def broken() -> Iterator[PlannedObject]:
        yield ONE
        raise NotFoundError("no such folder")

    with pytest.raises(NotFoundError):
        first_planned(broken(), never_closed)
