"""One request to a server, and its answer if that is small."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

__all__ = ["Reply", "Request"]


class Request(NamedTuple):
    """One request.

    Attributes:
        target: Path and query below the server's prefix, percent-encoded.
        accept: Media types; the answer must have one of them, unless there are none.
        body: The body, whole or in parts; None for no body.
        body_type: Media type of the body.
        method: The HTTP method; if empty, GET, or POST with a body.
        fields: Further header fields.
        writing: Whether the request changes the server.
        sent: Called with the bytes of each part of the body that was sent.
        span: Start and end of the bytes to fetch of a resource, by `read_part`; None for all of it.
    """

    target: str
    accept: Sequence[str]
    body: bytes | Sequence[bytes] | None = None
    body_type: str = ""
    method: str = ""
    fields: Sequence[tuple[bytes, bytes]] = ()
    writing: bool = False
    sent: Callable[[int], object] | None = None
    span: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        """Bytes of the body."""
        body = self.body or b""
        return len(body) if isinstance(body, bytes) else sum(map(len, body))

    def parts(self) -> Iterator[bytes]:
        """The parts of the body; `sent` learns of each when the next one is asked for."""
        for part in [self.body] if isinstance(self.body, bytes) else self.body or ():
            yield part
            if self.sent is not None:
                self.sent(len(part))


class Reply(NamedTuple):
    """A whole answer.

    Attributes:
        content_type: Its media type.
        body: Its body.
        status: Its status, which is a success.
    """

    content_type: str
    body: bytes
    status: int = 200
