"""A stream as a target: bytes leave in order, however they arrive."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Final

from casync.errors import WriteError
from casync.ids import Buffer

__all__ = ["StreamSink"]

_ZEROS: Final = bytes(1 << 20)


class StreamSink:
    """Writes to a pipe, a socket or a file that is not seekable.

    Args:
        stream: Buffered or not; it is flushed at the end and never closed.
        length: Bytes of the content.
    """

    resumed = False
    readable = False
    discards = False

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self.length = length
        self._stream = stream
        self._position = 0
        self._sha256 = hashlib.sha256()
        self._waiting: dict[int, Buffer] = {}
        self._lock = threading.Lock()

    def read(self, offset: int, length: int) -> bytes:
        """Nothing: sent bytes cannot be read back."""
        return b""

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """Holds bytes back until everything before them is settled."""
        with self._lock:
            for buffer in buffers:
                self._waiting[offset] = buffer
                offset += len(buffer)

    def zero(self, offset: int, length: int) -> None:
        """Does nothing: gaps are sent as zeros when their range is settled."""

    def settle(self, end: int) -> None:
        """Sends everything before `end`. Called by one thread, with ascending ends.

        Raises:
            BrokenPipeError: The reader has closed the pipe.
            WriteError: The stream cannot be written.
        """
        with self._lock:
            ready = sorted(offset for offset in self._waiting if offset < end)
            buffers = [(offset, self._waiting.pop(offset)) for offset in ready]
        for offset, buffer in buffers:
            self._send_zeros(offset)
            self._send(buffer)
        self._send_zeros(end)
        if self._position == self.length:
            self._flush()

    def sha256(self) -> bytes:
        """The SHA-256 of all bytes sent."""
        return self._sha256.digest()

    def _send_zeros(self, end: int) -> None:
        while self._position < end:
            self._send(_ZEROS[: end - self._position])

    def _send(self, buffer: Buffer) -> None:
        rest = memoryview(buffer)
        while rest:
            with _translated():
                # An unbuffered stream may write less: a socket, or a disk that fills up.
                written: int | None = self._stream.write(rest)
            if not written:
                raise WriteError("cannot write the output: it is non-blocking (O_NONBLOCK)")
            rest = rest[written:]
        self._sha256.update(buffer)
        self._position += len(buffer)

    def _flush(self) -> None:
        with _translated():
            self._stream.flush()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = "no space" if error.errno == errno.ENOSPC else error.strerror
        raise WriteError(f"cannot write the output: {reason}") from error
