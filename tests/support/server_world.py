"""A store with everything in it that a request can ask for, and the application over it."""

from __future__ import annotations

import os
from typing import Any

import httpx
from casync_server.app import create_app
from casync_server.settings import ServerSettings
from fastapi import FastAPI

from casync.ids import Kind
from casync.objects.codec import Packed
from casync.store.base import ManifestState
from casync.store.memory import MemoryStore
from casync.wire.documents import Problem, decode_document
from tests.support.serving import ask, put_file

DATA = os.urandom(300_000) + bytes(100_000) + b"text " * 20_000


class World:
    """A store with two versions of a file, an outline, and the application over it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.store = MemoryStore(clock=lambda: 1_700_000_000.0)
        self.old = put_file(self.store, DATA[:1000], name="images/vm")
        self.new = put_file(self.store, DATA, name="images/vm")
        self.empty = put_file(self.store, b"", name="grün & co")
        self.outline = put_file(self.store, b"elsewhere", state=ManifestState.OUTLINE)
        settings = ServerSettings(piece_bytes=20_000)
        self.app: FastAPI = create_app(
            self.store, settings, store_id=lambda: "an-id", sink=self.lines.append
        )

    def ask(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        return ask(self.app, method, url, **arguments)

    def chunks(self) -> list[Packed]:
        return [o for (kind, _), o in self.store._tables.objects.items() if kind is Kind.CHUNK]


def problem(response: httpx.Response, status: int, code: str) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = decode_document(response.content, Problem)
    assert (document.status, document.code) == (status, code)
    return document
