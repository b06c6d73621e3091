"""Makes the standard streams of the process safe to write to.

This is the only place that distinguishes a closed pipe from a full disk, for everything written to
stdout: text, binary content and help.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Final

from casync.errors import WriteError

if TYPE_CHECKING:
    from casync.ids import Buffer

__all__ = ["ClosedPipeError", "guard_streams"]

_STDOUT: Final = 1
_STDERR: Final = 2


class ClosedPipeError(BrokenPipeError):
    """The reader of stdout has closed the pipe. Not an error: `| head` does this."""


class _Stdout(io.FileIO):
    """Descriptor 1. After the first failure it discards buffered data."""

    def __init__(self) -> None:
        super().__init__(_STDOUT, "w", closefd=False)
        self._failed = False

    def write(self, data: Buffer) -> int | None:  # type: ignore[override]
        if self._failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError as error:
            self._failed = True
            raise ClosedPipeError from error
        except OSError as error:
            self._failed = True
            raise WriteError(f"cannot write to stdout: {error.strerror}") from error


class _Stderr(io.FileIO):
    """Descriptor 2. Discards messages that cannot be written."""

    def __init__(self) -> None:
        super().__init__(_STDERR, "w", closefd=False)

    def write(self, data: Buffer) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


class _NoStdout(io.RawIOBase):
    """Replaces a stdout that was closed before the start."""

    def __init__(self) -> None:
        super().__init__()
        self._failed = False

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int | None:  # type: ignore[override]
        if not self._failed:
            self._failed = True
            raise WriteError("cannot write to stdout: it is closed")
        return memoryview(data).nbytes


def guard_streams() -> None:
    """Replaces `sys.stdout`, and makes messages on stderr never fail.

    Closed descriptors are opened on /dev/null first; otherwise a file could get number 1 and
    receive data for stdout.
    """
    had_stdout = sys.stdout is not None
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # open() takes the lowest free number, which is this one
    encoding = sys.stdout.encoding if had_stdout else "utf-8"
    if had_stdout:
        raw: io.RawIOBase = _Stdout()
    else:
        raw = _NoStdout()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw, 1 << 16),
        encoding=encoding,
        errors="backslashreplace",
        newline="\n",
        line_buffering=had_stdout and os.isatty(_STDOUT),
    )
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - it stays open until the end
    else:
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Stderr(), 1 << 12),
            encoding=sys.stderr.encoding,
            errors="backslashreplace",
            newline="\n",
            line_buffering=True,
        )
