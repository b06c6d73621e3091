"""A server that answers as an AIStore cluster for tests, written from its documentation.

The gateway lists buckets, and leads to the node that has an object with 307.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.handlers import handling

__all__ = ["AisCluster", "ais_cluster"]

_OBJECTS = "/v1/objects/bucket/"


class AisCluster:
    """The objects of its one bucket, and what was asked for.

    Attributes:
        objects: Contents by name.
        page: Objects of a page of a listing.
        asked: The queries of all requests for objects.
    """

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = dict(objects)
        self.page = 2
        self.asked: list[dict[str, list[str]]] = []
        self.port = 0
        self.node_port = 0

    @property
    def url(self) -> str:
        return f"ais://127.0.0.1:{self.port}/bucket"


@contextlib.contextmanager
def ais_cluster(objects: Mapping[str, bytes]) -> Iterator[AisCluster]:
    """A cluster with these objects."""
    world = AisCluster(objects)

    class Gateway(_Handler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = urlsplit(self.path)
            if url.path.startswith(_OBJECTS):
                world.asked.append(parse_qs(url.query))
                extra = "&" if url.query else "?"
                self.send_response(307)
                place = f"http://127.0.0.1:{world.node_port}{self.path}{extra}pid=p1&utm=1"
                self.send_header("Location", place)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            if url.path != "/v1/buckets/bucket":
                return self.send(404, b"no such bucket", {})
            message = json.loads(body)
            assert message["action"] == "list"
            value = message["value"]
            after = value["continuation_token"]
            names = [
                name
                for name in sorted(world.objects)
                if name.startswith(value["prefix"]) and name > after
            ]
            page = names[: world.page]
            entries = [
                {"name": name} | ({"size": str(size)} if (size := len(world.objects[name])) else {})
                for name in page
            ]
            token = page[-1] if len(names) > len(page) else ""
            listing = {"uuid": "u1", "entries": entries, "continuation_token": token, "flags": 0}
            return self.send(200, json.dumps(listing).encode(), {})

        def do_HEAD(self) -> None:
            self.do_GET()

    class Node(_Handler):
        def do_GET(self) -> None:
            name = unquote(urlsplit(self.path).path.removeprefix(_OBJECTS))
            data = world.objects.get(name)
            if data is None:
                return self.send(404, b"no such object", {})
            fields = {
                "Etag": f'"{hashlib.md5(data).hexdigest()}"',
                "Ais-Checksum-Type": "sha256",
                "Ais-Checksum-Value": hashlib.sha256(data).hexdigest(),
            }
            part = self.headers.get("range", "")
            if not part or self.headers.get("if-range", fields["Etag"]) != fields["Etag"]:
                return self.send(200, data, fields)
            first, _, last = part.removeprefix("bytes=").partition("-")
            end = min(int(last) + 1 if last else len(data), len(data))
            if int(first) >= len(data):
                return self.send(416, b"", fields)
            fields["Content-Range"] = f"bytes {first}-{end - 1}/{len(data)}"
            return self.send(206, data[int(first) : end], fields)

        def do_HEAD(self) -> None:
            self.do_GET()

    with handling(Gateway) as world.port, handling(Node) as world.node_port:
        yield world


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send(self, status: int, data: bytes, fields: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        pass
