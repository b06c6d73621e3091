"""A web server in a thread: files with ranges and validators, and faults on demand."""

from __future__ import annotations

import contextlib
import hashlib
import html
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import quote, unquote

__all__ = [
    "Fault",
    "Request",
    "WebServer",
]

_PIECE = 16384


@dataclass(frozen=True)
class Fault:
    """What one answer does wrong.

    Attributes:
        status: An error status instead of the object.
        fields: Header fields that are added, or that replace those of the same name.
        cut_after: Bytes of the body after which the connection is reset.
        cut_at: The same, as an offset in the object.
        body: Other bytes than those of the object.
        no_range: Ignores Range.
        pause: Seconds between two pieces of the body.
        piece: Bytes of a piece.
        then: Called before the body is sent.
        hang: Sends the head, and no body until the server stops.
    """

    status: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    cut_at: int | None = None
    body: bytes | None = None
    no_range: bool = False
    pause: float = 0.0
    piece: int = _PIECE
    then: Callable[[], None] = lambda: None
    hang: bool = False


@dataclass(slots=True)
class Request:
    """One request; `status` once it is answered, and `sent` bytes of the body went out."""

    method: str
    path: str
    range: str
    status: int = 0
    sent: int = 0


class WebServer:
    """Serves `objects` by path on 127.0.0.1. Use in a with block.

    Attributes:
        objects: Path to bytes; may be changed at any time.
        etags: Whether objects have a strong ETag.
        dates: Whether objects have the time `modified`, in seconds since 1970.
        ranges: Whether ranges are served.
        faults: Path to the faults of its next answers, one each.
        every: Called for every request; returns its fault, or None.
        requests: All requests, in the order of arrival.
        lines: Their targets, byte for byte.
    """

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.objects: dict[str, bytes] = dict(objects or {})
        self.etags = True
        self.dates = True
        self.modified = 1_600_000_000
        self.ranges = True
        self.faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.every: Callable[[str], Fault | None] = lambda path: None
        self.requests: list[Request] = []
        self.lines: list[str] = []
        self.ended = threading.Event()
        self.most = 0
        self._busy = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(_Handler):
            server_of = outer

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """Connections that clients break off are no errors."""

        self._http = Server(("127.0.0.1", 0), Handler)
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def fail(self, path: str, faults: Iterable[Fault]) -> None:
        """Adds faults to the next answers for a path."""
        self.faults[path].extend(faults)

    def etag(self, path: str) -> str:
        """The strong ETag of an object."""
        return f'"{hashlib.sha256(self.objects[path]).hexdigest()[:16]}"'

    def fetched(self) -> Counter[str]:
        """How often each object was sent, in bytes."""
        sent: Counter[str] = Counter()
        for request in self.requests:
            sent[request.path] += request.sent
        return sent

    def fault(self, path: str) -> Fault:
        """The fault of the next answer."""
        with self._lock:
            queued = self.faults.get(path)
            if queued:
                return queued.popleft()
        return self.every(path) or Fault()

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Counts requests that are answered at once."""
        with self._lock:
            self._busy += 1
            self.most = max(self.most, self._busy)
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def page(self, path: str) -> str:
        """The listing of a folder, as nginx writes it."""
        names: dict[str, int | None] = {}
        for each in list(self.objects):
            if each.startswith(path) and each != path:
                name, slash, _ = each[len(path) :].partition("/")
                names[name + slash] = None if slash else len(self.objects[each])
        rows = [
            f'<a href="{quote(name)}">{html.escape(name)}</a>'
            f"{' ' * 20}13-Sep-2020 12:26{'-' if size is None else size:>20}"
            for name, size in sorted(names.items())
        ]
        head = f"Index of {html.escape(path)}"
        return (
            f"<html><head><title>{head}</title></head><body><h1>{head}</h1><hr><pre>"
            f'<a href="../">../</a>\n' + "\n".join(rows) + "\n</pre><hr></body></html>"
        )


class _Handler(BaseHTTPRequestHandler):
    server_of: WebServer
    record: Request
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """Answers with an object or a listing."""
        with self.server_of.counted():
            self._answer()

    def do_HEAD(self) -> None:
        """As GET, without a body."""
        self._answer()

    def _answer(self) -> None:
        server = self.server_of
        path = unquote(self.path.partition("?")[0])
        server.lines.append(self.path)
        self.record = Request(self.command, path, self.headers.get("Range", ""))
        server.requests.append(self.record)
        fault = server.fault(path)
        if fault.status:
            self._head(fault.status, {"Content-Length": "0"} | fault.fields)
        elif path.endswith("/") and path not in server.objects:
            data = server.page(path).encode() if fault.body is None else fault.body
            fields = {"Content-Type": "text/html", "Content-Length": str(len(data))}
            self._head(200, fields | fault.fields)
            if fault.cut_after is not None:
                data = data[: fault.cut_after]
                self.close_connection = True
            self._send(data)
        elif path not in server.objects:
            self._head(404, {"Content-Length": "0"})
        else:
            self.record.sent = self._object(path, fault)

    def _object(self, path: str, fault: Fault) -> int:
        """Answers with an object; returns how many bytes of it went out."""
        server = self.server_of
        data = server.objects[path]
        fields = {}
        if server.etags:
            fields["ETag"] = server.etag(path)
        if server.dates:
            fields["Last-Modified"] = formatdate(server.modified, usegmt=True)
        if self._unchanged(fields):
            self._head(304, fields)
            return 0
        status, start, end = 200, 0, len(data)
        asked = self._range(len(data), fields) if server.ranges and not fault.no_range else None
        if server.ranges and not fault.no_range:
            fields["Accept-Ranges"] = "bytes"
        if asked is not None:
            status, (start, end) = 206, asked
            fields["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        body = data[start:end] if fault.body is None else fault.body
        fault.then()
        self._head(status, fields | {"Content-Length": str(len(body))} | fault.fields)
        if self.command == "HEAD":
            return 0
        if fault.hang:
            server.ended.wait()
            self.close_connection = True
            return 0
        cut = fault.cut_after
        if fault.cut_at is not None and start < fault.cut_at < end:
            cut = fault.cut_at - start
        if cut is not None:
            body = body[:cut]
            self.close_connection = True
        declared = fault.fields.get("Content-Length")
        if declared is not None and declared != str(len(body)):
            self.close_connection = True
        return self._send(body, fault.piece, fault.pause)

    def _send(self, body: bytes, piece: int = _PIECE, pause: float = 0.0) -> int:
        sent = 0
        view = memoryview(body)
        with contextlib.suppress(OSError):
            while sent < len(view):
                self.wfile.write(view[sent : sent + piece])
                sent = min(sent + piece, len(view))
                if pause:
                    time.sleep(pause)
        self.close_connection = self.close_connection or sent < len(view)
        return sent

    def _head(self, status: int, fields: dict[str, str]) -> None:
        self.record.status = status
        self.send_response(status)
        for name, value in fields.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def _unchanged(self, fields: dict[str, str]) -> bool:
        tag = self.headers.get("If-None-Match")
        if tag is not None:
            return "ETag" in fields and tag == fields["ETag"]
        since = self.headers.get("If-Modified-Since")
        if since is None or "Last-Modified" not in fields:
            return False
        return self.server_of.modified <= parsedate_to_datetime(since).timestamp()

    def _range(self, length: int, fields: dict[str, str]) -> tuple[int, int] | None:
        text = self.headers.get("Range", "")
        condition = self.headers.get("If-Range")
        if not text.startswith("bytes=") or "," in text:
            return None
        if condition is not None and condition not in (
            fields.get("ETag"),
            fields.get("Last-Modified"),
        ):
            return None
        first, _, last = text.removeprefix("bytes=").partition("-")
        start = int(first)
        end = min(int(last) + 1, length) if last else length
        return (start, end) if start < end else None
