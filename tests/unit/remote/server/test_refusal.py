from __future__ import annotations

import json

import pytest

from casync import errors
from casync.errors import CasyncError, UnreachableError
from casync.remote.server.refusal import refusal

PROBLEM = "application/problem+json"


def body(code: str, detail: str = "what went wrong", **more: object) -> bytes:
    document = {"title": "T", "status": 400, "code": code, "detail": detail}
    return json.dumps(document | more).encode()


def of(status: int, code: str) -> CasyncError:
    return refusal("http://h", status, PROBLEM, body(code))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "no-name", errors.NoNameError),
        (404, "no-object", errors.NoObjectError),
        (404, "not-found", errors.NotFoundError),
        (403, "denied", errors.DeniedError),
        (401, "denied", errors.DeniedError),
        (501, "unsupported", errors.UnsupportedError),
        (400, "usage", errors.RemoteError),
        (422, "usage", errors.RemoteError),
        (500, "error", errors.UnreachableError),
        (503, "no-store", errors.UnreachableError),
        (503, "stopped", errors.UnreachableError),
        (504, "timed-out", errors.UnreachableError),
        (429, "unreachable", errors.UnreachableError),
        (500, "damaged-object", errors.DamagedObjectError),
        (500, "damaged-store", errors.RemoteError),
        (409, "locked", errors.RemoteError),
        (400, "code of tomorrow", errors.RemoteError),
    ],
)
def test_codes(status: int, code: str, kind: type[CasyncError]) -> None:
    error = of(status, code)
    assert type(error) is kind
    assert "http://h: what went wrong" in error.message


@pytest.mark.parametrize("code", ["stopped", "no-space", "damaged-store", "write", "usage"])
def test_a_server_cannot_speak_for_this_machine(code: str) -> None:
    error = of(400, code)
    assert type(error) is errors.RemoteError
    assert code in error.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, errors.RemoteProtocolError),
        (308, errors.RemoteProtocolError),
        (401, errors.DeniedError),
        (404, errors.RemoteError),
        (405, errors.RemoteError),
        (502, errors.UnreachableError),
        (204, errors.RemoteError),
    ],
)
def test_servers_that_are_not_ours(status: int, kind: type[CasyncError]) -> None:
    for content_type, data in [
        ("text/html", b"<h1>"),
        (PROBLEM, b"{"),
        (PROBLEM, b"\xff"),
        ("", b""),
    ]:
        assert type(refusal("http://h", status, content_type, data)) is kind


def test_the_next_step_is_kept_and_texts_are_bounded() -> None:
    data = body("no-name", "x" * 3000, next_step="y" * 3000)
    error = refusal("http://h", 404, PROBLEM, data)
    assert len(error.message) < 600
    assert error.next_step == "y" * 500


def test_a_path_in_the_address_is_doubted_where_there_is_nothing() -> None:
    said = "Unless a proxy puts the server at /x, its address is http://h."
    data = body("not-found")
    assert refusal("http://h", 404, PROBLEM, data, prefix="/x").next_step == said
    assert refusal("http://h", 404, PROBLEM, data).next_step == ""
    assert refusal("http://h", 404, PROBLEM, body("no-name"), prefix="/x").next_step == ""


def test_a_wrong_token_is_told_from_none() -> None:
    without = refusal("http://h", 401, PROBLEM, body("denied"))
    assert without.next_step == "Give one with --token-file."
    wrong = refusal("http://h", 401, PROBLEM, body("denied"), token=True)
    assert wrong.next_step.startswith("The one that was sent is unknown, expired or revoked there")


def test_a_time_to_wait_is_kept() -> None:
    error = refusal("http://h", 503, "", b"", 7.0)
    assert isinstance(error, UnreachableError)
    assert error.retry_after == 7.0


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (507, "no-space", errors.NoSpaceError),
        (412, "lost-race", errors.LostRaceError),
        (409, "incomplete", errors.IncompleteError),
    ],
)
def test_some_codes_are_for_writing_requests_only(
    status: int, code: str, kind: type[CasyncError]
) -> None:
    missing = [{"kind": 1, "id": "ab" * 32}]
    data = body(code, missing=missing)
    error = refusal("http://h", status, PROBLEM, data, writing=True)
    assert type(error) is kind
    if isinstance(error, errors.IncompleteError):
        assert error.missing == [(1, b"\xab" * 32)]
    assert type(refusal("http://h", status, PROBLEM, data)) is errors.RemoteError
