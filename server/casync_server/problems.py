"""Errors as HTTP answers: `application/problem+json` (RFC 9457) with the codes of errors.py.

Holds the only table from code to status. Details of the server stay in its log: local paths, texts
of foreign errors, tracebacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from msgspec.structs import replace
from starlette.exceptions import HTTPException
from starlette.types import Scope

from casync.errors import (
    CasyncError,
    DamagedObjectError,
    DeniedError,
    IncompleteError,
    LoopError,
    LostRaceError,
    NoSpaceError,
    NoStoreError,
    NotFoundError,
    QuotaError,
    StoppedError,
    TimedOutError,
    UnreachableError,
    UnsafeStorageError,
    UnsupportedError,
    UsageError,
)
from casync.escape import escape
from casync.wire.documents import PROBLEM_TYPE, Problem, encode_document, missing_items
from casync_server.http.request_stats import request_stats

__all__ = [
    "STATUS_OF",
    "code_of_status",
    "failure",
    "install",
    "make_problem",
    "problem_of",
    "problem_response",
]

STATUS_OF: Final[Mapping[str, int]] = {
    "error": 500,
    "usage": 400,
    "source-changed": 409,
    "partial": 500,
    "integrity": 500,
    "damaged-object": 500,
    "damaged-store": 500,
    "malformed": 500,  # in the store; a malformed request is `usage`
    "digest-mismatch": 409,
    "untrusted": 409,
    "remote": 502,
    "unreachable": 503,
    "loop": 508,
    "remote-protocol": 502,
    "no-space": 507,
    "quota": 507,
    "locked": 409,
    "lost-race": 412,
    "denied": 403,
    "not-found": 404,
    "no-store": 503,
    "no-name": 404,
    "no-object": 404,
    "incomplete": 409,
    "unsupported": 501,
    "unsafe-storage": 501,
    "stopped": 503,
    "timed-out": 504,
    "write": 500,
}
"""HTTP status of every code in errors.py."""

_CODE_OF: Final = {403: "denied", 404: "not-found", 408: "timed-out", 503: "unreachable"}
"""Codes for statuses of the framework or the protocol."""

_OUTAGE_SECONDS: Final = "5"
"""When a client may ask again for what lies on an upstream server or in a bucket."""

_SAYABLE: Final = (
    UsageError,
    NotFoundError,
    DeniedError,
    DamagedObjectError,
    LoopError,
    LostRaceError,
    QuotaError,
    StoppedError,
    TimedOutError,
    UnsupportedError,
)
"""Errors whose message is about the request, so clients may see it."""


def code_of_status(status: int) -> str:
    """The code for a status without a `CasyncError`."""
    return _CODE_OF.get(status, "usage" if status < 500 else "error")


def make_problem(status: int, detail: str, *, code: str = "", next_step: str = "") -> Problem:
    """A problem document with escaped texts, safe to print."""
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        code=code or code_of_status(status),
        detail=escape(detail),
        next_step=escape(next_step),
    )


def _is_sayable(error: CasyncError) -> bool:
    """Whether clients may see the message: it names neither paths nor an upstream."""
    if isinstance(error, NoStoreError | UnsafeStorageError) or (
        isinstance(error, DamagedObjectError) and error.where
    ):
        return False
    return isinstance(error, _SAYABLE)


def problem_of(error: CasyncError) -> Problem:
    """The problem document that a client gets for `error`."""
    status = STATUS_OF[error.code]
    if _is_sayable(error):
        problem = make_problem(status, error.message, code=error.code, next_step=error.next_step)
        if isinstance(error, IncompleteError):
            return replace(problem, missing=missing_items(error.missing))
        return problem
    if isinstance(error, NoSpaceError):
        step = "Free space on the server: remove data and run `casync gc`, or enlarge its disk."
        return make_problem(status, "the server's disk is full", code=error.code, next_step=step)
    if isinstance(error, UnreachableError):
        detail = "what this server reads from cannot be reached; see its log"
        return make_problem(status, detail, code=error.code)
    return make_problem(status, "the server failed to answer; see its log", code=error.code)


def problem_response(
    status: int,
    detail: str,
    *,
    code: str = "",
    next_step: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer for a status without a `CasyncError`."""
    return _response(make_problem(status, detail, code=code, next_step=next_step), headers)


def failure(scope: Scope, error: CasyncError) -> Response:
    """The answer to a request that failed; its log line says why if it is our fault."""
    problem = problem_of(error)
    if problem.status >= 500:
        request_stats(scope).note = f"{error.code}: {error.message}"
    if isinstance(error, UnreachableError):
        return _response(problem, {"Retry-After": _OUTAGE_SECONDS})
    return _response(problem)


def _response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        encode_document(problem),
        status_code=problem.status,
        media_type=PROBLEM_TYPE,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def install(app: FastAPI) -> None:
    """Turns every error of a route of `app` into a problem document."""
    app.add_exception_handler(CasyncError, _on_casync_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)


async def _on_casync_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, CasyncError)
    return failure(request.scope, error)


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Only where and why: the value may be secret.
    causes = [
        f"{'.'.join(str(part) for part in cause['loc'])}: {cause['msg']}"
        for cause in error.errors()
    ]
    return problem_response(422, "; ".join(causes))


async def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem_response(404, "this server has no such path", headers=error.headers)
    return problem_response(error.status_code, str(error.detail), headers=error.headers)
