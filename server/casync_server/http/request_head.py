"""Checks the head of a request before the application sees it.

Pure. Refuses heads that parsers read differently (two lengths, a length and a coding, absolute
targets): a proxy in front may have read them the other way.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_to_bytes

__all__ = ["Head", "Refusal", "check_head"]


class Head(NamedTuple):
    """A parsed head. Field names are in lower case."""

    method: bytes
    target: bytes
    version: str
    fields: list[tuple[bytes, bytes]]


class Refusal(NamedTuple):
    """Why a request is refused: HTTP status, and a line for people."""

    status: int
    detail: str


def check_head(head: Head, body_bytes: int) -> Refusal | None:
    """Returns why `head` is refused; None if it is accepted.

    Args:
        head: The parsed head.
        body_bytes: Largest allowed body, in bytes.
    """
    if head.version not in ("1.0", "1.1"):
        return Refusal(505, "only HTTP/1.0 and HTTP/1.1 are supported")
    return _check_target(head) or _check_framing(head, body_bytes)


def _check_target(head: Head) -> Refusal | None:
    if not head.target.startswith(b"/"):
        return Refusal(400, "the request target must be a path")
    if not head.target.isascii() or b"#" in head.target:
        return Refusal(400, "the request target has characters that a URL cannot have")
    # File names follow `/-/`; they are bytes.
    path = head.target.partition(b"?")[0].partition(b"/-/")[0]
    if b"%" in path:
        try:
            unquote_to_bytes(path).decode()
        except UnicodeDecodeError:
            return Refusal(400, "the request target is not UTF-8")
    return None


def _check_framing(head: Head, body_bytes: int) -> Refusal | None:
    lengths = [value.strip() for name, value in head.fields if name == b"content-length"]
    codings = [value.strip().lower() for name, value in head.fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        return Refusal(400, "more than one Content-Length or Transfer-Encoding")
    if codings:
        if codings != [b"chunked"]:
            return Refusal(501, "the only supported transfer coding is chunked")
        if head.version == "1.0":
            return Refusal(400, "HTTP/1.0 has no transfer codings")
    if lengths:
        if not lengths[0].isdigit() or len(lengths[0]) > 19:
            return Refusal(400, "Content-Length is not a number")
        if int(lengths[0]) > body_bytes:
            return Refusal(413, f"the body is larger than {body_bytes} bytes")
    return None
