"""Every error of ours has a status, and problems reveal nothing of this machine."""

import inspect

import pytest
from casync_server.problems import STATUS_OF, code_of_status, problem_of

from casync import errors
from casync.errors import (
    CasyncError,
    DamagedObjectError,
    DamagedStoreError,
    NoNameError,
    NoStoreError,
    UsageError,
)


def codes() -> set[str]:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass)]
    return {c.code for c in classes if issubclass(c, CasyncError)}


def test_the_table_is_complete() -> None:
    assert set(STATUS_OF) == codes()
    assert all(400 <= status < 600 for status in STATUS_OF.values())


def test_statuses_of_the_framework_have_codes_of_ours() -> None:
    assert {code_of_status(status) for status in range(400, 600)} <= codes()


def test_messages_about_the_request_are_shown() -> None:
    problem = problem_of(NoNameError("no name a\x1b[31m here", next_step="Look."))
    assert problem.status == 404
    assert problem.title == "Not Found"
    assert problem.code == "no-name"
    assert problem.detail == "no name a\\x1b[31m here"
    assert problem.next_step == "Look."


@pytest.mark.parametrize("error", [DamagedStoreError, NoStoreError, CasyncError])
def test_messages_about_the_machine_are_hidden(error: type[CasyncError]) -> None:
    assert "/srv" not in problem_of(error("cannot open /srv/store/data.mdb")).detail


def test_the_address_of_an_upstream_is_hidden() -> None:
    damaged = DamagedObjectError("http://inner: chunk 00 is damaged", where="on http://inner")
    problem = problem_of(damaged)
    assert (problem.status, problem.code) == (500, "damaged-object")
    assert "inner" not in problem.detail + problem.next_step
    assert problem_of(DamagedObjectError("chunk 00 is damaged")).detail == "chunk 00 is damaged"


def test_usage_is_400() -> None:
    assert problem_of(UsageError("x")).status == 400
