"""Compares a local file with a manifest, byte for byte, by the ids of its chunks."""

from __future__ import annotations

from itertools import chain
from typing import Final

from casync.fs.place import TargetPlace
from casync.fs.seed import SeedFile
from casync.limits import MIB
from casync.neighbours import read_places
from casync.ops.outline import Outline
from casync.ops.progress import Progress
from casync.plan import windows

__all__ = ["holds"]

_READ_BYTES: Final = MIB


def holds(place: TargetPlace, outline: Outline, progress: Progress) -> bool:
    """Whether the file at `place` is the content, or the device begins with it.

    Stops reading at the first difference.
    """
    length = outline.content.length
    try:
        with SeedFile(place.path) as file:
            if place.length < length if place.is_device else file.identity.size != length:
                return False
            progress.start("comparing", length)
            for window in windows(outline.content, outline.node, outline.params.max_size):
                if any(not _is_zero(file, *hole) for hole in window.zeros):
                    return False
                found = chain.from_iterable(read_places(file.read, window.places))
                if any(plain is None for _, plain in found):
                    return False
                progress.advance(window.end - window.start)
    except OSError:
        return False
    return True


def _is_zero(file: SeedFile, offset: int, length: int) -> bool:
    for start, end in file.data_ranges(offset, offset + length):
        for at in range(start, end, _READ_BYTES):
            data = file.read(at, min(_READ_BYTES, end - at))
            if data.count(0) != min(_READ_BYTES, end - at):
                return False
    return True
