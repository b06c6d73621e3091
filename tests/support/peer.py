"""A real server on a real socket, honest by default, that commits faults on request.

It serves a store (usually in memory) over HTTP/1.1, one thread a connection, and shares no code
with our server, so the client is tested against the protocol and not against a twin. A fault is
chosen for each request and writes any bytes to the socket.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

from casync.errors import CasyncError, NoNameError, NotFoundError
from casync.ids import Kind, ManifestId
from casync.names.name import NameRecord, parse_name, parse_ref
from casync.objects.codec import Packed
from casync.objects.manifest import decode_manifest
from casync.store.base import Absence, ManifestSource
from tests.support.wire import (
    BUSY,
    DAMAGED,
    DELTA,
    END,
    MISSING,
    delta_of,
    frame,
    object_frame,
    plain_of,
    read_groups,
    split_frames,
)

FRAMES = "application/vnd.casync.frames"
SIZES = "application/vnd.casync.sizes"
JSON = "application/json"
PROBLEM = "application/problem+json"
MANIFEST = "application/vnd.casync.manifest"

_STATUS = {Absence.MISSING: MISSING, Absence.DAMAGED: DAMAGED, Absence.BUSY: BUSY}


class Seen(NamedTuple):
    """A request as it arrived. `number` counts from 0."""

    number: int
    method: str
    target: str
    fields: dict[str, str]
    body: bytes

    @property
    def groups(self) -> list[tuple[list[bytes], list[bytes]]]:
        """The ids and the bases of each group of a fetch or stat request."""
        return read_groups(self.body)

    @property
    def ids(self) -> list[bytes]:
        """The ids of a fetch or stat request."""
        return [ident for wanted, _ in self.groups for ident in wanted]


class Answer(NamedTuple):
    """What an honest server answers."""

    status: int
    content_type: str
    body: bytes


Fault = Callable[[socket.socket, Seen, Answer], None]
"""Writes in place of the honest answer; the connection is closed after it."""


class Peer:
    """Serves `source` until the context is left.

    Args:
        source: What to serve.
        fault: Chooses the fault of each request, None for an honest answer.
        piece: Bytes written at a time, 0 for all at once.
        port: Port to listen on, 0 for any free one.
        tls: Encrypts connections.
        deltas: Answers groups with deltas; else it knows no groups.
    """

    def __init__(
        self,
        source: ManifestSource,
        fault: Callable[[Seen], Fault | None] = lambda seen: None,
        *,
        piece: int = 0,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        deltas: bool = False,
    ) -> None:
        self.source = source
        self.deltas = deltas
        self.fault = fault
        self.seen: list[Seen] = []
        self.piece = piece
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._tls = tls
        self.sent = 0
        self.received = 0
        self.connections = 0

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A thread inside accept() is woken by a shutdown, not by a close.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(10)
            assert not thread.is_alive()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open.add(connection)
                    self.connections += 1
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self._tls is None:
                self._converse(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as secured:
                    with self._lock:
                        self._open.add(secured)
                    self._converse(secured)

    def _converse(self, connection: socket.socket) -> None:
        while (seen := self._receive(connection)) is not None:
            answer = self._answer(seen)
            fault = self.fault(seen)
            if fault is not None:
                fault(connection, seen, answer)
                return
            self._send(connection, whole(answer))

    def _send(self, connection: socket.socket, data: bytes) -> None:
        with self._lock:
            self.sent += len(data)
        step = self.piece or len(data)
        for at in range(0, len(data), step):
            connection.sendall(data[at : at + step])

    def _receive(self, connection: socket.socket) -> Seen | None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        fields = {name.lower(): value.strip() for name, _, value in pairs}
        while len(body) < int(fields.get("content-length", 0)):
            body += connection.recv(65536)
        method, target, _ = first.split(" ")
        with self._lock:
            self.received += len(head) + 4 + len(body)
            seen = Seen(len(self.seen), method, target, fields, body)
            self.seen.append(seen)
        return seen

    def _answer(self, seen: Seen) -> Answer:
        parts = urlsplit(seen.target)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        path = unquote(parts.path)
        try:
            if seen.body[6:7] == b"\1" and not self.deltas:
                return problem(400, "usage", "unknown flags")
            if path == "/v1/objects/fetch":
                return Answer(200, FRAMES, b"".join(self._frames(seen)))
            if path == "/v1/objects/stat":
                return Answer(200, SIZES, self._sizes(seen))
            return Answer(200, JSON, json.dumps(self._document(path, query)).encode())
        except NotFoundError as error:
            return problem(404, error.code, error.message)
        except CasyncError as error:
            return problem(400, error.code, error.message)

    def _frames(self, seen: Seen) -> Iterator[bytes]:
        kind = Kind(seen.body[5])
        for wanted, bases in seen.groups:
            answers = list(self.source.get(kind, [*wanted, *bases]))  # type: ignore[list-item]
            if len(answers) > 1 and all(isinstance(answer, Packed) for answer in answers):
                plains = [plain_of(answer) for answer in answers]  # type: ignore[arg-type]
                payload = delta_of(plains[: len(wanted)], plains[len(wanted) :])
                yield frame(DELTA, payload, codec=1, count=len(wanted))
                continue
            for answer in answers[: len(wanted)]:
                if isinstance(answer, Packed):
                    yield object_frame(answer)
                else:
                    yield frame(_STATUS[answer], count=1)
        yield frame(END)

    def _sizes(self, seen: Seen) -> bytes:
        rows = self.source.stat(Kind(seen.body[5]), seen.ids)  # type: ignore[arg-type]
        none = (2**64 - 1, 2**64 - 1)
        return b"".join(struct.pack("<QQ", *(none if row is None else row)) for row in rows)

    def _document(self, path: str, query: dict[str, str]) -> object:
        limit, after = int(query.get("limit", 1000)), query.get("after", "")
        if path == "/v1/info":
            return {
                "api": 1,
                "program": "peer",
                "store": "00000000-0000-0000-0000-000000000000",
                "limits": {"batch_ids": 1024, "batch_bytes": 64 << 20, "page_items": 1000},
                "chunker": {"algorithm": "fastcdc-v1", "min": 4096, "avg": 16384, "max": 65536},
            }
        if path == "/v1/manifests":
            rows = [row for row in self.source.manifests() if row.id.hex() > after]
            items = [
                {"hash": row.id.hex(), "length": row.length, "created": row.created}
                for row in rows[:limit]
            ]
            return {"manifests": items, "more": len(rows) > limit}
        if path.startswith("/v1/manifests/"):
            return self._view(path.removeprefix("/v1/manifests/"))
        if path == "/v1/names":
            records = [r for r in self.source.names(query.get("prefix", "")) if r.name > after]
            return {"names": [_name(r) for r in records[:limit]], "more": len(records) > limit}
        name = parse_name(path.removeprefix("/v1/names/"))
        versions = [r for r in self.source.history(name) if r.version > int(after or 0)]
        if not versions:
            raise NoNameError(f"no name {name}")
        return {"versions": [_name(r) for r in versions[:limit]], "more": len(versions) > limit}

    def _view(self, text: str) -> object:
        ident = self.source.resolve(parse_ref(text))
        (packed,) = self.source.get(Kind.MANIFEST, [ident])
        assert isinstance(packed, Packed)
        manifest = decode_manifest(packed.payload)
        row = self.source.manifest(ManifestId(ident))
        params, content = manifest.params, manifest.content
        return {
            "hash": ident.hex(),
            "kind": manifest.kind,
            "length": manifest.length,
            "created": row.created if row else 0,
            "chunker": {
                "algorithm": params.algorithm,
                "min": params.min_size,
                "avg": params.avg_size,
                "max": params.max_size,
            },
            "content": {"level": content.level, "id": content.id.hex(), "length": content.length},
        }


def _name(record: NameRecord) -> dict[str, object]:
    return {
        "name": record.name,
        "version": record.version,
        "manifest": record.manifest.hex(),
        "created": record.created,
    }


def problem(status: int, code: str, detail: str, next_step: str = "") -> Answer:
    """An error as a server says it."""
    document = {"title": "Error", "status": status, "code": code, "detail": detail}
    return Answer(status, PROBLEM, json.dumps(document | {"next_step": next_step}).encode())


def head(answer: Answer, *fields: str, length: int | None = None) -> bytes:
    """Status line and fields, for a body of `length` bytes; -1 leaves its end to the close."""
    lines = [f"HTTP/1.1 {answer.status} Whatever", f"Content-Type: {answer.content_type}", *fields]
    if length != -1:
        lines.append(f"Content-Length: {len(answer.body) if length is None else length}")
    return "\r\n".join([*lines, "\r\n"]).encode()


def whole(answer: Answer, *fields: str) -> bytes:
    """A whole answer."""
    return head(answer, *fields) + answer.body


# -- Faults ----------------------------------------------------------------------------------------


def sends(answer: Answer, *fields: str) -> Fault:
    """Another answer."""
    data = whole(answer, "Connection: close", *fields)
    return lambda connection, seen, honest: connection.sendall(data)


def edits(edit: Callable[[list[bytes]], Iterable[bytes]]) -> Fault:
    """The honest frames after `edit`, in an answer that HTTP finds whole."""

    def fault(connection: socket.socket, seen: Seen, honest: Answer) -> None:
        body = b"".join(edit(split_frames(honest.body)))
        connection.sendall(whole(honest._replace(body=body)))

    return fault


def breaks_off(share: float, *, reset: bool = False, closed: bool = False) -> Fault:
    """Ends the connection after `share` of the body; with `closed` HTTP does not notice."""

    def fault(connection: socket.socket, seen: Seen, honest: Answer) -> None:
        body = honest.body[: int(len(honest.body) * share)]
        connection.sendall(head(honest, length=-1 if closed else None) + body)
        if reset:
            time.sleep(0.05)  # a reset also drops what the client has not read yet
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return fault


def hangs_up(connection: socket.socket, seen: Seen, honest: Answer) -> None:
    """Says nothing and closes."""


def stalls(share: float) -> Fault:
    """Stops after the head and `share` of the body, and keeps the connection."""

    def fault(connection: socket.socket, seen: Seen, honest: Answer) -> None:
        connection.sendall(head(honest) + honest.body[: int(len(honest.body) * share)])
        connection.recv(1)

    return fault


def never_ends(connection: socket.socket, seen: Seen, honest: Answer) -> None:
    """The whole answer in a body whose end never comes."""
    start = head(honest, "Transfer-Encoding: chunked", length=-1)
    connection.sendall(start + b"%x\r\n%b\r\n" % (len(honest.body), honest.body))
    connection.recv(1)


def says_nothing(connection: socket.socket, seen: Seen, honest: Answer) -> None:
    """Keeps the connection without an answer."""
    connection.recv(1)


def trickles(seconds: float, *, from_head: bool = False) -> Fault:
    """Sends a byte each `seconds`."""

    def fault(connection: socket.socket, seen: Seen, honest: Answer) -> None:
        first = b"" if from_head else head(honest)
        connection.sendall(first)
        for byte in whole(honest)[len(first) :]:
            connection.sendall(bytes([byte]))
            time.sleep(seconds)

    return fault


def repeats(start: bytes, again: bytes) -> Fault:
    """Sends `start`, then `again` until the client goes."""

    def fault(connection: socket.socket, seen: Seen, honest: Answer) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(again)

    return fault
