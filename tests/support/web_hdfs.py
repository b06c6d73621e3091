"""A server that speaks WebHDFS for tests, written from the description of the interface.

It is NameNode and DataNode in one, on two ports: the first leads to the second for bytes.
"""

from __future__ import annotations

import contextlib
import http.server
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.handlers import handling

__all__ = ["WebHdfs", "web_hdfs"]

_ROOT = "/webhdfs/v1/"


class WebHdfs:
    """The files, and what was asked for.

    Attributes:
        files: Contents by path; those of folders follow from it.
        has_batches: Whether it knows LISTSTATUS_BATCH.
        page: Entries of a batch.
        asked: The operations, each with its user.
        forbidden: Paths that may not be read.
    """

    def __init__(self, files: Mapping[str, bytes], *, has_batches: bool) -> None:
        self.files = dict(files)
        self.has_batches = has_batches
        self.page = 2
        self.asked: list[tuple[str, str]] = []
        self.forbidden: set[str] = set()
        self.port = 0
        self.data_port = 0

    @property
    def url(self) -> str:
        return f"webhdfs://127.0.0.1:{self.port}"

    def status(self, path: str, suffix: str) -> dict[str, Any] | None:
        """The description of a file or folder."""
        shared = {"pathSuffix": suffix, "modificationTime": 1_700_000_000_123, "owner": "hdfs"}
        if path in self.files:
            number = 16386 + sorted(self.files).index(path)
            return shared | {"type": "FILE", "length": len(self.files[path]), "fileId": number}
        if not path or any(name.startswith(f"{path}/") for name in self.files):
            return shared | {"type": "DIRECTORY", "length": 0, "fileId": 16385}
        return None

    def entries(self, path: str) -> list[dict[str, Any]]:
        """The entries of a folder; of a file, the file."""
        if path in self.files:
            found = self.status(path, "")
            return [] if found is None else [found]
        start = f"{path}/" if path else ""
        inside = (name.removeprefix(start) for name in self.files if name.startswith(start))
        names = sorted({name.partition("/")[0] for name in inside})
        return [each for name in names if (each := self.status(start + name, name))]


@contextlib.contextmanager
def web_hdfs(files: Mapping[str, bytes], *, has_batches: bool = True) -> Iterator[WebHdfs]:
    """A server with these files."""
    world = WebHdfs(files, has_batches=has_batches)

    class NameNode(_Handler):
        def answer(self, path: str, parts: dict[str, str]) -> None:
            op = parts["op"]
            world.asked.append((op, parts.get("user.name", "")))
            if path in world.forbidden:
                return self.refuse(403, "AccessControlException", f"denied: {path}")
            if op == "LISTSTATUS_BATCH" and not world.has_batches:
                text = 'Invalid value for webhdfs parameter "op": No enum constant LISTSTATUS_BATCH'
                return self.refuse(400, "IllegalArgumentException", text)
            status = world.status(path, "")
            if status is None:
                return self.refuse(404, "FileNotFoundException", f"no {path}")
            if op == "GETFILESTATUS":
                return self.send({"FileStatus": status})
            if op == "OPEN":
                self.send_response(307)
                place = f"http://127.0.0.1:{world.data_port}{self.path}"
                self.send_header("Location", place)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            entries = world.entries(path)
            if op == "LISTSTATUS":
                return self.send({"FileStatuses": {"FileStatus": entries}})
            after = parts.get("startAfter")
            rest = [each for each in entries if after is None or each["pathSuffix"] > after]
            page = {"FileStatuses": {"FileStatus": rest[: world.page]}}
            remaining = max(len(rest) - world.page, 0)
            listing = {"partialListing": page, "remainingEntries": remaining}
            return self.send({"DirectoryListing": listing})

    class DataNode(_Handler):
        def answer(self, path: str, parts: dict[str, str]) -> None:
            start = int(parts.get("offset", "0"))
            data = world.files[path][start:]
            data = data[: int(parts.get("length", str(len(data))))]
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with handling(NameNode) as world.port, handling(DataNode) as world.data_port:
        yield world


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        assert url.path.startswith(_ROOT)
        parts = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.answer(unquote(url.path.removeprefix(_ROOT)).rstrip("/"), parts)

    def answer(self, path: str, parts: dict[str, str]) -> None:
        raise NotImplementedError

    def send(self, document: object, status: int = 200) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, exception: str, message: str) -> None:
        self.send({"RemoteException": {"exception": exception, "message": message}}, status)

    def log_message(self, *arguments: object) -> None:
        pass
