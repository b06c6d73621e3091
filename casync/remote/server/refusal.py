"""Translates a server's refusal, its status and problem document, to an error.

The server's code selects only among errors that a server may cause: denied, not found, unsupported,
overloaded, or damage of its own, which names the server. It cannot make the client report a full
disk or damage here. Only answers to
requests that change the server may report its full disk or quota, a lost race for a name, or
missing objects.
"""

from __future__ import annotations

from typing import Final

from casync.errors import (
    CasyncError,
    DamagedObjectError,
    DeniedError,
    IncompleteError,
    LoopError,
    LostRaceError,
    NoNameError,
    NoObjectError,
    NoSpaceError,
    NotFoundError,
    QuotaError,
    RemoteError,
    RemoteProtocolError,
    UnreachableError,
    UnsupportedError,
)
from casync.limits import MIB
from casync.sizes import format_size
from casync.store.proved import OTHER_SERVER_STEP
from casync.wire.documents import PROBLEM_TYPE, Problem, decode_document, missing_keys
from casync.wire.uploads import MAX_UPLOAD_BYTES

__all__ = ["BodyTooLargeError", "proxy_refusal", "refusal"]

_CLASSES: Final[dict[str, type[CasyncError]]] = {
    kind.code: kind
    for kind in (
        DeniedError,
        LoopError,
        NotFoundError,
        NoNameError,
        NoObjectError,
        UnsupportedError,
    )
}
_WRITING: Final[dict[str, type[CasyncError]]] = {
    kind.code: kind for kind in (NoSpaceError, QuotaError, LostRaceError)
}
"""Further codes in answers to requests that change the server."""

_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which a retry may succeed."""

_FINAL_CODES: Final = frozenset({"integrity", "damaged-store", "malformed"})
"""Codes that make an error of status 500 permanent: a retry does not repair a disk."""

_LONGEST_TEXT: Final = 500


class BodyTooLargeError(RemoteError):
    """The server, or a proxy before it, does not take bodies of this size."""


_FOREIGN_STEP: Final = (
    "Give a casync server a token with --token-file; a site is open to all, or by its address."
)
"""What to do about a refusal that no casync server wrote."""


def proxy_refusal(origin: str, proxy: str, reason: str) -> CasyncError:
    """The error for a proxy that does not pass a request on.

    Args:
        origin: The server.
        proxy: The proxy, or empty if it is not known.
        reason: Its status, and a text for it.
    """
    name = f"the proxy {proxy}" if proxy else f"a proxy before {origin}"
    if reason.startswith("407"):
        return DeniedError(
            f"{name} asks for a user and a password",
            next_step="Write USER:PASSWORD into a file and name it with --proxy-auth FILE.",
        )
    return RemoteError(f"{name} refused {origin}: {reason}")


def refusal(
    origin: str,
    status: int,
    content_type: str,
    body: bytes,
    wait: float = 0.0,
    *,
    writing: bool = False,
    prefix: str = "",
    token: bool = False,
    size: int = 0,
    proxy: str = "",
) -> CasyncError:
    """The error for an answer whose status is not a success.

    Args:
        origin: The server.
        status: The HTTP status.
        content_type: Media type of `body`, without parameters.
        body: The body of the answer, or empty if it is too long.
        wait: Seconds of its Retry-After field.
        writing: Whether the request changes the server.
        prefix: The path of the server's address.
        token: Whether a token was sent.
        size: Bytes of the request's body.
        proxy: The proxy that connections are made to, if any.
    """
    code, text, next_step = "", f"HTTP status {status}", ""
    missing: list[tuple[int, bytes]] = []
    if content_type == PROBLEM_TYPE:
        try:
            problem = decode_document(body, Problem)
        except RemoteProtocolError:
            pass
        else:
            code, text = problem.code, (problem.detail or problem.title)[:_LONGEST_TEXT]
            next_step = problem.next_step[:_LONGEST_TEXT]
            missing = missing_keys(problem.missing)
    if status == 407:
        return proxy_refusal(origin, proxy, "407")
    if status == 413 and not code:
        return BodyTooLargeError(
            f"a proxy before {origin} does not take a body of {format_size(size)} (HTTP status "
            "413)",
            next_step=f"Raise its limit to {-(-MAX_UPLOAD_BYTES // MIB)} MiB; in nginx, "
            "client_max_body_size.",
        )
    if status == 401 and token:
        next_step = "The one that was sent is unknown, expired or revoked there; get another."
    elif status == 401:
        next_step = "Give one with --token-file."
    elif prefix and status == 404 and code == NotFoundError.code and not next_step:
        next_step = f"Unless a proxy puts the server at {prefix}, its address is {origin}."
    message = f"{origin}: {text}"
    if code == DamagedObjectError.code:
        return DamagedObjectError(message, next_step=OTHER_SERVER_STEP, where=f"on {origin}")
    if status in _AGAIN and code not in _FINAL_CODES:
        return UnreachableError(message, next_step=next_step, retry_after=wait)
    if code in _CLASSES:
        return _CLASSES[code](message, next_step=next_step)
    if writing and code in _WRITING:
        return _WRITING[code](message, next_step=next_step)
    if writing and code == IncompleteError.code:
        return IncompleteError(message, next_step=next_step, missing=missing)
    if status in (401, 403):
        step = "Give a token with --token-file." if code else _FOREIGN_STEP
        return DeniedError(message, next_step=next_step or step)
    if 300 <= status < 400:
        return RemoteProtocolError(
            f"{origin} redirects (HTTP status {status}); redirects are not followed",
            next_step="Give the final address of the server.",
        )
    if not code:
        return RemoteError(
            f"{origin} does not answer like a casync server: {text}",
            next_step="Check the address of the server.",
        )
    kind = BodyTooLargeError if status == 413 else RemoteError
    return kind(f"{message} ({code[:40]})", next_step=next_step)
