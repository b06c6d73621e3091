"""Files of rows: caches that are written in one go, and may be lost or damaged at any time.

A file is a head, which says what the rows are about, and blocks of rows, each with a check. Errors
of writing are ignored: no command must fail because its cache does.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec
from blake3 import blake3

from casync.limits import MIB

__all__ = [
    "CHECK_BYTES",
    "RowWriter",
    "check_of",
    "decode_rows",
    "encode_block",
    "read_blocks",
    "read_file",
]

_BLOCK: Final = struct.Struct("<I8s")
_BLOCK_BYTES: Final = 256 * 1024
_MAX_BLOCK: Final = 8 * MIB
CHECK_BYTES: Final = 8

_ENCODER: Final = msgspec.msgpack.Encoder()
_Row = TypeVar("_Row")


class RowWriter:
    """Writes one file, which takes effect with `keep`.

    Args:
        path: The file's path.
        head: Its head.
    """

    def __init__(self, path: Path, head: bytes) -> None:
        self._path = path
        self._part = path.with_suffix(f".{os.getpid()}")
        self._rows: list[object] = []
        self._size = 0
        self._file = self._open()
        self._write(head)

    def add(self, row: object, size: int) -> None:
        """Adds a row of about `size` bytes."""
        self._rows.append(row)
        self._size += size
        if self._size >= _BLOCK_BYTES:
            self._flush()

    def keep(self, foot: bytes = b"") -> None:
        """Finishes the file, and replaces the one before."""
        self._flush()
        self._write(foot)
        with suppress(OSError):
            self._file.close()
            self._part.replace(self._path)

    def drop(self) -> None:
        """Discards a file that was not kept. May be called after `keep`."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _open(self) -> BinaryIO:
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            for left in self._path.parent.glob(f"{self._path.name}.*"):  # of killed processes
                left.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            return open(os.open(self._part, flags, 0o600), "wb")
        except OSError:
            return open(os.devnull, "wb")

    def _flush(self) -> None:
        self._write(encode_block(_ENCODER.encode(self._rows)))
        self._rows, self._size = [], 0

    def _write(self, data: bytes) -> None:
        with suppress(OSError):
            self._file.write(data)


def check_of(data: bytes) -> bytes:
    """The check of some bytes of a file."""
    return blake3(data).digest(length=CHECK_BYTES)


def encode_block(data: bytes) -> bytes:
    """A block of encoded rows as it stands in the file."""
    return _BLOCK.pack(len(data), check_of(data)) + data


def read_blocks(file: BinaryIO) -> Iterator[bytes]:
    """The encoded rows of each block from here up to the end, or to the first damage."""
    with suppress(OSError):
        while len(start := file.read(_BLOCK.size)) == _BLOCK.size:
            length, check = _BLOCK.unpack(start)
            data = file.read(min(length, _MAX_BLOCK))
            if len(data) != length or check_of(data) != check:
                return
            yield data


def decode_rows(data: bytes, decoder: msgspec.msgpack.Decoder[list[_Row]]) -> list[_Row] | None:
    """The rows of a block; None if it is not one of such rows."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def read_file(
    path: Path, head: bytes, decoder: msgspec.msgpack.Decoder[list[_Row]]
) -> Iterator[_Row]:
    """The rows of a file without a foot; none if there is no such file with this head."""
    with suppress(OSError), path.open("rb") as file:
        if file.read(len(head)) != head:
            return
        for data in read_blocks(file):
            rows = decode_rows(data, decoder)
            if rows is None:
                return
            yield from rows
