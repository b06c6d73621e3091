"""Writes bytes of archives to a target, whole or not at all, or to a stream."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from casync.access.progress import SILENT, Progress
from casync.fs.target.base import open_sink
from casync.fs.target.place import check_space, inspect_place
from casync.ids import Buffer

__all__ = ["write_blocks"]


def write_blocks(
    blocks: Iterable[Buffer],
    length: int,
    target: Path | BinaryIO,
    progress: Progress = SILENT,
) -> None:
    """Writes blocks, for example those of a member.

    A file at `target` is replaced when all bytes are there and durable, as by a pull.

    Args:
        blocks: The bytes in order.
        length: How many there are.
        target: A path, or a stream.
        progress: Advances by every byte.

    Raises:
        NoSpaceError, DeniedError, WriteError: They cannot be written.
        LockedError: A pull writes to the same target.
        CasyncError: What `blocks` raises.
    """
    progress.start("reading", length)
    if not isinstance(target, Path):
        for block in blocks:
            target.write(block)
            progress.advance(len(block))
        return
    place = inspect_place(target, in_place=False)
    check_space(place, length)
    with open_sink(place, length) as sink:
        at = 0
        for block in blocks:
            sink.write(at, [block])
            at += len(block)
            progress.advance(len(block))
        for note in sink.commit():
            progress.note(note)
