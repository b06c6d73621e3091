"""Objects of AIStore clusters, by the HTTP interface of its gateways.

A gateway leads to the node that has an object, so that requests are those of any web server; only
listings have a message of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote_from_bytes

import msgspec

from casync.errors import RemoteError, RemoteProtocolError, UnreachableError, UsageError
from casync.jobs.address import parse_address, redacted, split_query
from casync.jobs.fault import ObjectFaultKind
from casync.jobs.naming import percent_decoded
from casync.jobs.validators import Validators
from casync.limits import MIB
from casync.remote.http.address import ServerAddress
from casync.remote.http.address import parse_address as parse_server
from casync.remote.sources.base import (
    Listed,
    ListedFolder,
    ObjectAnswer,
    encode_key,
    failed,
    folder_of,
)
from casync.remote.sources.options import SourceOptions
from casync.remote.sources.web.connections import HttpConnections, refused
from casync.remote.sources.web.source import HttpSource
from casync.remote.sources.web.url import HttpUrl

__all__ = ["AisOpener", "AisSource"]

_PORT: Final = 8080
_MAX_PAGE_BYTES: Final = 64 * MIB
"""Bytes of a page of a listing, which has at most some ten thousand objects."""

_TRIES: Final = 3
"""Requests for a page whose answer breaks off."""


class _Entry(msgspec.Struct):
    """An object of a listing. A size of 0 is left out."""

    name: str
    size: int | str = 0


class _Page(msgspec.Struct):
    uuid: str = ""
    entries: list[_Entry] | None = None
    continuation_token: str = ""


class AisOpener:
    """Opens `ais://HOST[:PORT]/BUCKET/OBJECT`."""

    def __init__(self, options: SourceOptions) -> None:
        self._connections = HttpConnections(options)

    def open(self, address: str) -> tuple[AisSource, str]:
        """The bucket and the object of an address. See `casync.remote.sources.open`.

        Raises:
            UsageError: The address is invalid.
        """
        path, query = split_query(parse_address(address))
        place, _, rest = path.partition("/")
        bucket, _, key = rest.partition("/")
        if not bucket:
            raise UsageError(
                f"{redacted(address)} is not the address of a bucket",
                next_step="Write ais://HOST:PORT/BUCKET/PREFIX.",
            )
        server = parse_server(f"http://{place}", "AIStore gateway", _PORT)
        return AisSource(server, bucket, query.partition("#")[0], self._connections), (
            percent_decoded(key)
        )

    def close(self) -> None:
        """Closes all connections."""
        self._connections.close()


class AisSource:
    """One bucket. See `RemoteSource`.

    Args:
        server: A gateway of the cluster.
        bucket: The bucket, as it is in the address.
        query: What follows the path, such as `?provider=aws`; may be empty.
        connections: Connections to web servers.
    """

    def __init__(
        self, server: ServerAddress, bucket: str, query: str, connections: HttpConnections
    ) -> None:
        self.label = redacted(f"ais://{server.authority}/{bucket}{query}")
        self.place = f"ais://{server.authority}/{bucket}{query}"
        self._server = server
        self._bucket = bucket
        self._query = query.encode()
        self._connections = connections

    def close(self) -> None:
        """See `RemoteSource`."""
        self._connections.close()

    def find(self, key: str) -> Listed | None:
        """See `RemoteSource`."""
        source, name = self._at(key)
        found = source.find(name)
        return None if found is None else found._replace(key=key)

    def list_below(self, prefix: str) -> Iterator[Listed]:
        """See `RemoteSource`."""
        page = _Page()
        while True:
            page = self._page(prefix, page)
            for entry in page.entries or ():
                if entry.name.startswith(prefix):
                    yield Listed(entry.name, int(entry.size))
            if not page.continuation_token:
                return

    def list_folder(self, prefix: str) -> ListedFolder:
        """See `RemoteSource`."""
        return folder_of(prefix, self.list_below(prefix))

    def open(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        same: Validators | None = None,
        unless: Validators | None = None,
    ) -> ObjectAnswer | None:
        """See `RemoteSource`."""
        source, name = self._at(key)
        answer = source.open(name, start, end, same=same, unless=unless)
        if answer is not None:
            answer.listed = answer.listed._replace(key=key)
        return answer

    def _at(self, key: str) -> tuple[HttpSource, str]:
        """The web address of an object, and its name there.

        Raises:
            UsageError: The key is none of an object.
        """
        if not key or key.endswith("/") or not {"", ".", ".."}.isdisjoint(key.split("/")):
            raise UsageError(f"{self.label}/{key} is not an object")
        path = f"/v1/objects/{self._bucket}/{quote_from_bytes(encode_key(key), safe='/')}"
        url = HttpUrl(self._server, path.encode(), self._query)
        return HttpSource(f"{self._server.origin}{path}", url, self._connections), url.name

    def _page(self, prefix: str, last: _Page) -> _Page:
        """The page of a listing that follows another one.

        Raises:
            RemoteProtocolError: The listing does not go on.
            CasyncError: The cluster cannot be asked, or refuses.
        """
        value = {
            "prefix": prefix,
            "props": "name,size",
            "uuid": last.uuid,
            "continuation_token": last.continuation_token,
        }
        body = msgspec.json.encode({"action": "list", "value": value})
        url = HttpUrl(self._server, f"/v1/buckets/{self._bucket}".encode(), self._query)
        for is_last in [False] * (_TRIES - 1) + [True]:
            try:
                page = self._read(url, body)
                break
            except UnreachableError as error:
                if is_last or error.fault not in (
                    ObjectFaultKind.SHORT_BODY,
                    ObjectFaultKind.STALL,
                ):
                    raise
        if page.continuation_token and page.continuation_token == last.continuation_token:
            raise failed(
                RemoteProtocolError(f"{self.label} lists the same page again and again"),
                ObjectFaultKind.HTTP,
            )
        return page

    def _read(self, url: HttpUrl, body: bytes) -> _Page:
        with self._connections.ask(
            "GET", url, {b"content-type": b"application/json"}, body
        ) as answer:
            if answer.status != 200:
                answer.drain()
                raise refused(url, answer.status)
            data = bytearray()
            for block in answer.body():
                data += block
                if len(data) > _MAX_PAGE_BYTES:
                    raise RemoteError(f"{url} answers with too many bytes")
        try:
            page = msgspec.json.decode(data, type=_Page)
            if not all(str(entry.size).isdecimal() for entry in page.entries or ()):
                raise msgspec.ValidationError("a size is no number")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise failed(
                RemoteProtocolError(f"{self.label} does not answer as AIStore does: {error}"),
                ObjectFaultKind.HTTP,
            ) from error
        return page
