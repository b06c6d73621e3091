"""What the supervisor and a worker say to each other: one JSON line each way.

The supervisor writes a `WorkerOrder` to the worker's stdin and keeps that pipe open; its end tells
the worker that the supervisor is gone. The worker writes a `WorkerReport` to its stdout when it
listens, or why it cannot; its end tells the supervisor that the worker is gone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from casync.errors import CasyncError
from casync_server.options import ServeOptions

__all__ = [
    "WorkerOrder",
    "WorkerReport",
    "decode_line",
    "encode_line",
    "error_of",
    "report_error",
]

_T = TypeVar("_T")


class WorkerOrder(msgspec.Struct, frozen=True):
    """What a worker shall do.

    Attributes:
        options: What `serve` was asked to do. Paths are absolute when they arrive.
        settings: Fields of `ServerSettings`.
        sockets: File descriptors that listen.
        exposed: An address that others can reach, unless anybody is to be let in there.
    """

    options: ServeOptions
    settings: dict[str, Any]
    sockets: list[int]
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
    return msgspec.json.encode(value, enc_hook=_encode_path) + b"\n"


def decode_line(line: bytes, kind: type[_T]) -> _T:
    """Reads one line.

    Raises:
        CasyncError: The other side is not of this version.
    """
    try:
        return msgspec.json.decode(line, type=kind, dec_hook=_decode_path)
    except msgspec.DecodeError as error:
        raise CasyncError(f"a worker and its supervisor do not fit: {error}") from error


def _encode_path(value: object) -> str:
    """A path as text, whatever its bytes are."""
    assert isinstance(value, Path)
    return os.fsencode(value.absolute()).decode("latin-1")


def _decode_path(kind: type, value: object) -> Path:
    assert kind is Path
    return Path(os.fsdecode(str(value).encode("latin-1")))


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
