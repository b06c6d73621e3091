"""One line per request, whatever happens."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from casync_server.access.access_log import AccessLog
from casync_server.access.log_entry import LogEntry, format_entry
from casync_server.access.metrics import Metrics
from casync_server.http.request_stats import RequestStats, request_stats
from starlette.types import Message, Receive, Scope, Send

from casync.errors import DamagedStoreError

NOW = datetime(2026, 11, 20, 12, 0, 0, 5000, tzinfo=UTC)
ENTRY = LogEntry(
    "127.0.0.1", "GET", "/v1/\x1b[31m", 200, 12, 0.25, RequestStats(objects=3, absent=1)
)


def test_the_text_form() -> None:
    assert format_entry(ENTRY, "text", NOW) == (
        "2026-11-20T12:00:00.005Z 127.0.0.1 GET /v1/\\x1b[31m 200 "
        "objects=3 bytes=12 seconds=0.250 absent=1"
    )
    noted = LogEntry("", "", "", 408, 0, 0.0, RequestStats(note="too\nslow"))
    assert format_entry(noted, "text", NOW).endswith(
        "Z - - - 408 objects=0 bytes=0 seconds=0.000 (too\\x0aslow)"
    )


def test_the_json_form() -> None:
    line = json.loads(format_entry(ENTRY, "json", NOW))
    assert line["time"] == "2026-11-20T12:00:00.005Z"
    assert line["path"] == "/v1/\\x1b[31m"
    assert (line["status"], line["objects"], line["bytes"], line["seconds"]) == (200, 3, 12, 0.25)


def run(app: object, *, debug: bool = False) -> tuple[list[str], list[Message]]:
    lines: list[str] = []
    sent: list[Message] = []
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/p",
        "raw_path": b"/p",
        "query_string": b"q=1",
        "client": ("127.0.0.1", 1),
    }

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    layer = AccessLog(app, form="text", sink=lines.append, debug=debug, watchers=[Metrics(None)])  # type: ignore[arg-type]
    asyncio.run(layer(scope, receive, send))
    return lines, sent


def test_an_unexpected_exception_is_a_500_without_details() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("/srv/secret")

    lines, sent = run(app)
    assert len(lines) == 1
    assert "KeyError" in lines[0]
    assert "Traceback" not in lines[0]
    assert sent[0]["status"] == 500
    assert b"secret" not in sent[1]["body"]
    assert json.loads(sent[1]["body"])["code"] == "error"
    assert "Traceback" in run(app, debug=True)[0][0]


def test_an_error_outside_of_a_route_is_a_problem_without_details() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise DamagedStoreError("store /srv/secret is damaged")

    (line,), sent = run(app)
    assert "damaged-store: store /srv/secret is damaged" in line
    assert sent[0]["status"] == 500
    assert b"secret" not in sent[1]["body"]
    assert json.loads(sent[1]["body"])["code"] == "damaged-store"


def test_a_truncated_answer_is_logged_as_aborted() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request_stats(scope).objects += 2
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})

    lines, _ = run(app)
    assert " GET /p?q=1 200 objects=2 bytes=3 " in lines[0]
    assert lines[0].endswith("(aborted)")


def test_a_cancelled_request_is_logged() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    lines: list[str] = []
    layer = AccessLog(app, form="text", sink=lines.append, debug=False, watchers=[Metrics(None)])
    scope: Scope = {"type": "http", "method": "GET", "path": "/p", "headers": []}
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(layer(scope, None, None))  # type: ignore[arg-type]
    assert len(lines) == 1
