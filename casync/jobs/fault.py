"""Faults: why an object of a job could not be fetched."""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus

import msgspec
from msgspec.structs import replace

from casync.ids import Buffer
from casync.jobs.encoding import decode, encode

__all__ = ["ObjectFaultKind", "ObjectFault", "decode_fault", "encode_fault", "status_text"]


class ObjectFaultKind(StrEnum):
    """What went wrong."""

    HTTP = "http"  # the server answered with an error
    DNS = "dns"  # the host has no address
    CONNECT = "connect"  # no connection, or it broke
    TLS = "tls"  # no secure connection
    TIMEOUT = "timeout"  # no answer in time
    STALL = "stall"  # a body that no longer came
    SHORT_BODY = "short_body"  # fewer or more bytes than announced
    CHECKSUM = "checksum"  # other bytes than announced
    CHANGED = "changed"  # the object changed while it was fetched
    POLICY = "policy"  # the server's rules forbid the address
    NAME = "name"  # no name can be made for it
    STORE = "store"  # the store could not take it


class ObjectFault(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object that failed.

    Attributes:
        index: The index of its item.
        name: The name that it would have.
        url: Its address, redacted.
        kind: What went wrong at the last attempt.
        message: One line about it, without secrets.
        attempts: Attempts without progress that were made.
        first: When the first one failed, in seconds since 1970.
        last: When the last one failed.
        status: The HTTP status, or 0.
    """

    index: int
    name: str
    url: str
    kind: ObjectFaultKind
    message: str
    attempts: int
    first: int
    last: int
    status: int = 0

    def __post_init__(self) -> None:
        """Refuses an index that no key holds."""
        if not 0 <= self.index < 2**63:
            raise ValueError("index out of bounds")


def status_text(status: int) -> str:
    """`request failed with 404 status code (Not Found)`."""
    try:
        phrase = f" ({HTTPStatus(status).phrase})"
    except ValueError:
        phrase = ""
    return f"request failed with {status} status code{phrase}"


def encode_fault(fault: ObjectFault) -> bytes:
    """The bytes of a fault."""
    return encode(replace(fault, url=_text(fault.url), message=_text(fault.message)))


def decode_fault(data: Buffer) -> ObjectFault:
    """Reads a fault; MalformedError if it is not one."""
    return decode(data, ObjectFault)


def _text(text: str) -> str:
    """A text with keys in it whose bytes are not UTF-8, for people."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
