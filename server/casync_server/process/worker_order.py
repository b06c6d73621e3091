"""Messages between the supervisor and its children: one JSON line in each direction.

The supervisor writes a `WorkerOrder` to the worker's stdin and keeps the pipe open; if it closes,
the supervisor is gone. The worker writes a `WorkerReport` to its stdout when it listens, or when it
fails; if that pipe closes, the worker is gone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from casync.errors import CasyncError
from casync.fs.identity import FileIdentity
from casync_server.options import ServeOptions

__all__ = [
    "CollectorOrder",
    "RunnerOrder",
    "WorkerOrder",
    "WorkerReport",
    "decode_line",
    "encode_line",
    "error_of",
    "report_error",
]

_T = TypeVar("_T")


class WorkerOrder(msgspec.Struct, frozen=True):
    """The order for a worker.

    Attributes:
        options: Options of `serve`. Decoded paths are absolute.
        settings: Fields of `ServerSettings`.
        sockets: File descriptors of the listening sockets.
        exposed: A public address that requires tokens; empty if there is none.
        marks: File descriptor of `casync_server.faults.marks_file`.
        refused: Namespaces on which workers died, with the states of their data files.
        announced: The server has been announced as listening.
    """

    options: ServeOptions
    settings: dict[str, Any]
    sockets: list[int]
    exposed: str = ""
    marks: int = -1
    refused: dict[str, FileIdentity | None] = {}
    announced: bool = False


class RunnerOrder(msgspec.Struct, frozen=True):
    """The order for the process that runs jobs.

    Attributes:
        options: Options of `serve`. Decoded paths are absolute.
        settings: Fields of `ServerSettings`.
    """

    options: ServeOptions
    settings: dict[str, Any]


class CollectorOrder(msgspec.Struct, frozen=True):
    """The order for the process of one collection.

    Attributes:
        options: Options of `serve`. Decoded paths are absolute.
        settings: Fields of `ServerSettings`.
    """

    options: ServeOptions
    settings: dict[str, Any]


class WorkerReport(msgspec.Struct, frozen=True):
    """The result of a start. Without a `code`, the worker listens.

    Attributes:
        code: The code of the error that prevented the start.
        message: Its message.
        next_step: Its next step.
        warnings: Warnings about the store.
    """

    code: str = ""
    message: str = ""
    next_step: str = ""
    warnings: list[str] = []


def encode_line(value: WorkerOrder | RunnerOrder | CollectorOrder | WorkerReport) -> bytes:
    """Encodes a message as one line."""
    return msgspec.json.encode(value, enc_hook=_encode_path) + b"\n"


def decode_line(line: bytes, kind: type[_T]) -> _T:
    """Decodes one line.

    Raises:
        CasyncError: The line is malformed: the other side has another version.
    """
    try:
        return msgspec.json.decode(line, type=kind, dec_hook=_decode_path)
    except msgspec.DecodeError as error:
        raise CasyncError(f"worker and supervisor versions differ: {error}") from error


def _encode_path(value: object) -> str:
    """A path as text that can hold any bytes."""
    assert isinstance(value, Path)
    return os.fsencode(value.absolute()).decode("latin-1")


def _decode_path(kind: type, value: object) -> Path:
    assert kind is Path
    return Path(os.fsdecode(str(value).encode("latin-1")))


def report_error(error: CasyncError) -> WorkerReport:
    """`error` as a report."""
    return WorkerReport(code=error.code, message=error.message, next_step=error.next_step)


def error_of(report: WorkerReport) -> CasyncError:
    """The error of a report, with its original class."""
    cls = CasyncError.of_code(report.code) or CasyncError
    return cls(report.message, next_step=report.next_step)
