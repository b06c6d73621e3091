"""The stream of events of a job: what it tells, and when it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from casync_server.app import create_app
from casync_server.jobs.event_stream import EventStream, EventStreams
from casync_server.jobs.source_policy import SourcePolicy
from casync_server.jobs.source_rules import SourceRules
from casync_server.settings import ServerSettings
from fastapi import FastAPI
from msgspec.structs import replace
from starlette.types import Message

from casync.errors import NotFoundError
from casync.jobs.egress import EgressPolicy
from casync.jobs.job import Counts, JobState
from casync.store.base import Batch
from casync.store.jobs import JobUpdate
from casync.store.lmdb.store import LmdbStore
from casync.wire.documents import decode_document
from casync.wire.jobs import HEARTBEAT, JobItem
from tests.support.serving import ask, serving_here

JOB = {"source": "https://data.example.com/{0..9}.tar", "destination": "sets/"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    with LmdbStore.open(tmp_path / "store", create=True) as store:
        yield store


@pytest.fixture
def app(store: LmdbStore) -> FastAPI:
    return create_app(
        store,
        ServerSettings(),
        jobs=SourceRules(SourcePolicy(None, ()), EgressPolicy()),
        sink=lambda _: None,
    )


def events_of(text: str) -> list[dict[str, Any]]:
    return [
        json.loads(block.partition("data: ")[2])
        for block in text.split("\n\n")
        if block.startswith("event: job\n")
    ]


def test_events_tell_the_state_then_changes_and_end_with_the_job(
    app: FastAPI, store: LmdbStore
) -> None:
    ident = item_of(app).id
    with serving_here(app) as url, store.jobs.claim(ident) as claim:
        seen: list[dict[str, Any]] = []
        with httpx.stream("GET", f"{url}/v1/jobs/{ident}/events", timeout=30) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            text = ""
            for piece in answer.iter_text():
                text += piece
                seen = events_of(text)
                if len(seen) == 1:
                    counts = Counts(finished=1)
                    row = replace(claim.row, total=1, listed=1, cursor=1, counts=counts)
                    done = replace(row, state=JobState.FINISHED, ended=9)
                    store.commit(Batch(job=JobUpdate(done)))
    assert [event["state"] for event in seen] == ["running", "finished"]
    assert seen[-1]["outcome"] == "clean"


class Stream:
    """Plays a stream of events without a clock: each step of time is one more item."""

    def __init__(self, app: FastAPI, items: list[JobItem | None], **extensions: Any) -> None:
        self.items = items
        self.sent: list[Message] = []
        self.scope: dict[str, Any] = {"type": "http", "extensions": extensions}
        self.streams = EventStreams(1)
        self.stops = False

    async def find(self) -> JobItem:
        item = self.items[0] if len(self.items) == 1 else self.items.pop(0)
        if item is None:
            raise NotFoundError("gone")
        return item

    async def sleep(self, _: float) -> None:
        pass

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def receive(self) -> Message:
        raise AssertionError("nothing is read")

    def run(self) -> list[bytes]:
        stream = EventStream(self.find, self.streams, lambda: self.stops, self.sleep)
        asyncio.run(stream(self.scope, self.receive, self.send))
        return [message.get("body", b"") for message in self.sent[1:]]


def item_of(app: FastAPI) -> JobItem:
    answer = ask(app, "POST", "/v1/jobs", json=JOB)
    return decode_document(answer.content, JobItem)


def test_a_silent_stream_sends_heartbeats_and_ends_when_the_job_is_removed(app: FastAPI) -> None:
    item = item_of(app)
    bodies = Stream(app, [item] * 70 + [None]).run()
    assert bodies[0].startswith(b"event: job\n")
    assert bodies[1:] == [HEARTBEAT, HEARTBEAT, b""]


def test_a_stream_ends_when_the_client_leaves_or_the_server_stops(app: FastAPI) -> None:
    item = item_of(app)
    looks = iter([False, False, True])
    left = Stream(app, [item], **{"casync.is_gone": lambda: next(looks)})
    assert len(left.run()) == 1
    assert left.streams.enter()
    stopped = Stream(app, [item])
    stopped.stops = True
    assert [len(body) > 0 for body in stopped.run()] == [True, False]


def test_streams_are_bounded(app: FastAPI) -> None:
    stream = Stream(app, [item_of(app)])
    assert stream.streams.enter()
    stream.run()
    assert stream.sent[0]["status"] == 503
    assert (b"retry-after", b"10") in stream.sent[0]["headers"]
    stream.streams.leave()
    assert stream.streams.enter()
    assert not stream.streams.enter()
