"""What the supervisor and a worker say to each other: one JSON line each way.

The supervisor writes a `WorkerOrder` to the worker's stdin and keeps that pipe open; its end tells
the worker that the supervisor is gone. The worker writes a `WorkerReport` to its stdout when it
listens, or why it cannot; its end tells the supervisor that the worker is gone.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from casync.errors import CasyncError
from casync_server.process.tls import TlsFiles

__all__ = [
    "WorkerOrder",
    "WorkerReport",
    "Upstream",
    "decode_line",
    "encode_line",
    "error_of",
    "report_error",
]

_T = TypeVar("_T")


class Upstream(msgspec.Struct, frozen=True):
    """A server to fetch from what is not here.

    Attributes:
        url: Its address.
        token: For it; empty for none.
        ca: Path of the authorities to trust in place of the system's; empty for those.
    """

    url: str
    token: str = ""
    ca: str = ""


class WorkerOrder(msgspec.Struct, frozen=True):
    """What a worker shall do.

    Attributes:
        store: Path of the store, as the system has it.
        allow_network_fs: Open it on a network file system.
        writable: Open it for writing, and make it if it is not there.
        sockets: File descriptors that listen.
        settings: Fields of `ServerSettings`.
        tls: Files with the certificate; None for plain HTTP.
        audit: Path of the audit log; empty for none.
        upstream: Where to fetch what is not in the store.
        exposed: An address that others can reach, unless anybody is to be let in there.
    """

    store: bytes
    allow_network_fs: bool
    writable: bool
    sockets: list[int]
    settings: dict[str, Any]
    tls: TlsFiles | None = None
    audit: bytes = b""
    upstream: Upstream | None = None
    exposed: str = ""


class WorkerReport(msgspec.Struct, frozen=True):
    """What became of a start: no `code` means that the worker listens.

    Attributes:
        code: The code of the error that kept it from starting.
        message: Its message.
        next_step: Its next step.
        warnings: What the operator should know of the store.
    """

    code: str = ""
    message: str = ""
    next_step: str = ""
    warnings: list[str] = []


def encode_line(value: WorkerOrder | WorkerReport) -> bytes:
    """One line."""
    return msgspec.json.encode(value) + b"\n"


def decode_line(line: bytes, kind: type[_T]) -> _T:
    """Reads one line.

    Raises:
        CasyncError: The other side is not of this version.
    """
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError as error:
        raise CasyncError(f"a worker and its supervisor do not fit: {error}") from error


def report_error(error: CasyncError) -> WorkerReport:
    """`error` as a report."""
    return WorkerReport(code=error.code, message=error.message, next_step=error.next_step)


def error_of(report: WorkerReport) -> CasyncError:
    """The error behind a report, of its own class again."""
    classes: list[type[CasyncError]] = [CasyncError]
    for cls in classes:
        if cls.code == report.code:
            return cls(report.message, next_step=report.next_step)
        classes.extend(cls.__subclasses__())
    return CasyncError(report.message, next_step=report.next_step)
