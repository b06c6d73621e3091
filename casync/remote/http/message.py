"""One request to a server, and its answer if that is small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = ["Reply", "Request"]


class Request(NamedTuple):
    """One request.

    Attributes:
        target: Path and query below the server's prefix, percent-encoded.
        accept: Media types; the answer must have one of them.
        body: The body, whole or in parts; None for no body.
        body_type: Media type of the body.
        method: The HTTP method; if empty, GET, or POST with a body.
        fields: Further header fields.
        writing: Whether the request changes the server.
        sent: Called with the bytes of each part of the body that was sent.
    """

    target: str
    accept: Sequence[str]
    body: bytes | Sequence[bytes] | None = None
    body_type: str = ""
    method: str = ""
    fields: Sequence[tuple[bytes, bytes]] = ()
    writing: bool = False
    sent: Callable[[int], object] | None = None


class Reply(NamedTuple):
    """A whole small answer, and its status, which is a success."""

    content_type: str
    body: bytes
    status: int = 200
