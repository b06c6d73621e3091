"""Writes one member of an archive to a target, whole or not at all, or to a stream."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from casync.access.content_file import Readable
from casync.access.progress import SILENT, Progress
from casync.fs.target.base import open_sink
from casync.fs.target.place import check_space, inspect_place

__all__ = ["write_readable"]


def write_readable(content: Readable, target: Path | BinaryIO, progress: Progress = SILENT) -> None:
    """Writes the bytes of a member, or of a file.

    A file at `target` is replaced when all bytes are there and durable, as by a pull.

    Args:
        content: The bytes.
        target: A path, or a stream.
        progress: Advances by every byte.

    Raises:
        NoSpaceError, DeniedError, WriteError: It cannot be written.
        LockedError: A pull writes to the same target.
        CasyncError: As `Readable.read`.
    """
    progress.start("reading", content.length)
    if not isinstance(target, Path):
        for block in content.read(0, content.length):
            target.write(block)
            progress.advance(len(block))
        return
    place = inspect_place(target, in_place=False)
    check_space(place, content.length)
    with open_sink(place, content.length) as sink:
        at = 0
        for block in content.read(0, content.length):
            sink.write(at, [block])
            at += len(block)
            progress.advance(len(block))
        for note in sink.commit():
            progress.note(note)
