"""URLs of web servers, taken apart without decoding what is sent.

A presigned URL breaks when one byte of its query is written differently, so path and query travel
as they were typed. Only what no request line can hold is percent-encoded: spaces, control
characters and what is not ASCII.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes, urljoin

from casync.errors import UsageError
from casync.jobs.address import redacted
from casync.jobs.naming import encode_path
from casync.remote.http.address import ServerAddress, parse_address
from casync.remote.sources.base import decode_key

__all__ = ["HttpUrl", "parse_url"]

_URL: Final = re.compile(
    r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.IGNORECASE | re.DOTALL
)
_UNSENDABLE: Final = re.compile(rb"[^\x21-\x7e]")


class HttpUrl(NamedTuple):
    """A URL.

    Attributes:
        server: The server, without a path.
        path: The path in percent-encoding, beginning with a slash.
        query: The query with its question mark, or empty.
        userinfo: `USER:PASSWORD` for the server, or empty.
    """

    server: ServerAddress
    path: bytes
    query: bytes = b""
    userinfo: bytes = b""

    @property
    def target(self) -> bytes:
        """What a request line holds."""
        return self.path + self.query

    @property
    def folder(self) -> bytes:
        """The path up to its last slash, with it."""
        return self.path[: self.path.rindex(b"/") + 1]

    @property
    def name(self) -> str:
        """What follows the last slash of the path, decoded."""
        return decode_key(unquote_to_bytes(self.path.rpartition(b"/")[2]))

    @property
    def authorization(self) -> bytes:
        """The value of the Authorization field, or empty."""
        if not self.userinfo:
            return b""
        user, _, password = self.userinfo.partition(b":")
        return b"Basic " + b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password))

    def __str__(self) -> str:
        """The URL for people: without user, password, and values of the query."""
        return redacted(f"{self.server.origin}{self.target.decode('ascii')}")

    def below(self, key: str) -> HttpUrl:
        """The URL of a key below the folder of this one."""
        return self._replace(path=self.folder + encode_path(key).encode(), query=b"")

    def joined(self, location: bytes) -> HttpUrl:
        """The URL that a Location field or a link of this page leads to.

        Raises:
            UsageError: It leads to no web server.
        """
        here = f"{self.server.origin}{self.target.decode('latin-1')}"
        try:
            there = urljoin(here, location.decode("latin-1"))
        except ValueError as error:
            raise UsageError(f"{self} leads to what is no URL") from error
        found = parse_url(there, encoding="latin-1")
        return found._replace(userinfo=self.userinfo if self.shares_secrets(found) else b"")

    def shares_secrets(self, other: HttpUrl) -> bool:
        """Whether what is secret to this URL's server may be sent to the other one.

        It is the same server, or the same host by https instead of http, at the usual ports.
        """
        mine, theirs = self.server, other.server
        upgraded = (mine.scheme, mine.port, theirs.scheme, theirs.port) == (
            "http",
            80,
            "https",
            443,
        )
        return mine.origin == theirs.origin or (mine.host == theirs.host and upgraded)


def parse_url(text: str, *, encoding: str = "utf-8") -> HttpUrl:
    """Reads the URL of an object or a folder of a web server.

    Args:
        text: The URL. A fragment is dropped: it is not part of a request.
        encoding: The encoding of what is not ASCII in it.

    Raises:
        UsageError: It is not one.
    """
    found = _URL.fullmatch(text)
    if found is None:
        raise UsageError(f"{redacted(text)} is not the URL of a web server")
    scheme, authority, path, query = found.groups(default="")
    userinfo, _, place = authority.rpartition("@")
    server = parse_address(f"{scheme.lower()}://{place}", "web server")
    return HttpUrl(
        server, _sendable(path or "/", encoding), _sendable(query, encoding), _sendable(userinfo)
    )


def _sendable(text: str, encoding: str = "utf-8") -> bytes:
    data = text.encode(encoding, "surrogateescape")
    return _UNSENDABLE.sub(lambda byte: b"%%%02X" % byte[0][0], data)
