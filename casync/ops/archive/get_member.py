"""Writes one member of an archive to a file, whole or not at all, or to a stream."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from casync.access.content_file import Readable
from casync.access.progress import SILENT, Progress
from casync.errors import WriteError
from casync.fs.os_errors import writing
from casync.fs.sync import settle_file
from casync.fs.target.attributes import set_new_attributes

__all__ = ["write_readable"]


def write_readable(content: Readable, target: Path | BinaryIO, progress: Progress = SILENT) -> None:
    """Writes the bytes of a member, or of a file.

    A file at `target` is replaced when all bytes are there and durable.

    Args:
        content: The bytes.
        target: A path, or a stream.
        progress: Advances by every byte.

    Raises:
        NoSpaceError, DeniedError, WriteError: It cannot be written.
        CasyncError: As `Readable.read`.
    """
    if not isinstance(target, Path):
        _copy(content, target, progress)
        return
    if target.is_dir():
        raise WriteError(f"{target} is a folder", next_step="Give the path of a file with -o.")
    with writing(target, content.length):
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with writing(target, content.length), os.fdopen(descriptor, "wb") as stream:
            _copy(content, stream, progress)
            set_new_attributes(stream.fileno())
        settle_file(Path(part))
        with writing(target):
            os.replace(part, target)
        settle_file(target)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise


def _copy(content: Readable, stream: BinaryIO, progress: Progress) -> None:
    progress.start("reading", content.length)
    for block in content.read(0, content.length):
        stream.write(block)
        progress.advance(len(block))
