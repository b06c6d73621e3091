"""The steps of a tour of a tree in an unnamed file, for the walks of a pull.

Entries are fetched, proved, decoded and checked once; the walks read them back without that work.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from casync.fs.os_errors import writing
from casync.limits import MIB
from casync.objects.tree import Entry, Folder
from casync.objects.tree_walk import Step

__all__ = ["StepFile"]

_BLOCK_STEPS: Final = 1024
_BLOCK_BYTES: Final = MIB
_ARRAY: Final = struct.Struct(">BI")
"""The head of an array in MessagePack: its type and its length."""

_ARRAY_TYPE: Final = 0xDD


class _Row(NamedTuple):
    """A step without its path, which follows from the steps before it."""

    entry: Entry | None
    is_settled: bool


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(type=list[_Row])


class StepFile:
    """The steps of one tour. Fill it once, then iterate it any number of times.

    A reader holds one block of steps. Close it at the end.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._where = Path(tempfile.gettempdir())
        self._blocks: list[int] = []  # their lengths

    def fill(self, steps: Iterable[Step]) -> None:
        """Takes all steps of a tour, the root first.

        Raises:
            NoSpaceError, WriteError: The file cannot be written.
            CasyncError: What `steps` raises.
        """
        rows: list[bytes] = []
        size = 0
        for step in steps:
            row = _ENCODER.encode(_Row(step.entry, step.is_settled))
            rows.append(row)
            size += len(row)
            if len(rows) == _BLOCK_STEPS or size >= _BLOCK_BYTES:
                self._write(rows)
                rows, size = [], 0
        self._write(rows)
        with writing(self._where):
            self._file.flush()

    def __iter__(self) -> Iterator[Step]:
        """All steps, as `fill` took them."""
        above: list[bytes] = []  # paths of the open folders
        for entry, is_settled in self._rows():
            if entry is None:
                yield Step(above.pop(), None)
                continue
            path = b"/".join(filter(None, [above[-1], entry.name])) if above else b""
            yield Step(path, entry, is_settled)
            if isinstance(entry, Folder) and not is_settled:
                above.append(path)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _rows(self) -> Iterator[_Row]:
        offset = 0
        for length in self._blocks:
            with writing(self._where):
                data = os.pread(self._file.fileno(), length, offset)
            yield from _DECODER.decode(data)
            offset += length

    def _write(self, rows: list[bytes]) -> None:
        block = _ARRAY.pack(_ARRAY_TYPE, len(rows)) + b"".join(rows)
        with writing(self._where):
            self._file.write(block)
        self._blocks.append(len(block))
