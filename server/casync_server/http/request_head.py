"""What a request's head must look like before the application may see it.

Pure. Refuses what parsers disagree about (two lengths, a length and a coding, absolute targets),
since a proxy in front may have read it the other way.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_to_bytes

__all__ = ["Head", "Refusal", "check_head"]


class Head(NamedTuple):
    """A parsed head: names of fields are in lower case."""

    method: bytes
    target: bytes
    version: str
    fields: list[tuple[bytes, bytes]]


class Refusal(NamedTuple):
    """Why a request is not taken: HTTP status and a line for people."""

    status: int
    detail: str


def check_head(head: Head, body_bytes: int) -> Refusal | None:
    """Says what is wrong with `head`, if anything.

    Args:
        head: What the parser found.
        body_bytes: Bytes of the largest body.
    """
    if head.version not in ("1.0", "1.1"):
        return Refusal(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    return _check_target(head) or _check_framing(head, body_bytes)


def _check_target(head: Head) -> Refusal | None:
    if not head.target.startswith(b"/"):
        return Refusal(400, "the target of a request is a path here")
    if not head.target.isascii() or b"#" in head.target:
        return Refusal(400, "the target of a request has other characters than a URL's")
    # Behind `/-/` are names of files, which are bytes.
    path = head.target.partition(b"?")[0].partition(b"/-/")[0]
    if b"%" in path:
        try:
            unquote_to_bytes(path).decode()
        except UnicodeDecodeError:
            return Refusal(400, "the target of a request is not UTF-8")
    return None


def _check_framing(head: Head, body_bytes: int) -> Refusal | None:
    lengths = [value.strip() for name, value in head.fields if name == b"content-length"]
    codings = [value.strip().lower() for name, value in head.fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        return Refusal(400, "a body has one Content-Length or one Transfer-Encoding")
    if codings:
        if codings != [b"chunked"]:
            return Refusal(501, "the only transfer coding here is chunked")
        if head.version == "1.0":
            return Refusal(400, "HTTP/1.0 has no transfer codings")
    if lengths:
        if not lengths[0].isdigit() or len(lengths[0]) > 19:
            return Refusal(400, "a Content-Length is a number")
        if int(lengths[0]) > body_bytes:
            return Refusal(413, f"bodies have at most {body_bytes} bytes here")
    return None
