"""Cuts and indexes old files of a folder as seeds. Small files, which are most, are read whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from casync.access.progress import Progress
from casync.cutting.list_chunks import list_chunks
from casync.cutting.small import SMALL_BYTES, cut_small
from casync.errors import CasyncError, UsageError
from casync.fs.beneath import FOLDER, open_beneath
from casync.fs.extents import read_range
from casync.fs.folder_seed import FolderSeed
from casync.fs.removal import below
from casync.fs.seed import SeedFile, SeedIndex, expand_seed_path
from casync.ids import ChunkId
from casync.objects.chunker import ChunkerParams

__all__ = ["FolderSeeds", "add_named"]

_MAX_CHUNKS: Final = 1 << 19
"""Chunks in the index, some 85 MiB of memory; a pull into a folder also holds its list of files."""


class FolderSeeds:
    """Indexes files below one folder. Used by one thread.

    Args:
        index: The index, which also closes the seed.
        root: Descriptor of the folder; may be closed before the index.
        path: Its path.
        params: Chunk sizes of the wanted content.
        progress: Receives phases and notes.
    """

    def __init__(
        self, index: SeedIndex, root: int, path: Path, params: ChunkerParams, progress: Progress
    ) -> None:
        self._index = index
        self._seed = FolderSeed(root, path)
        self._params = params
        self._progress = progress
        index.add(self._seed)

    @property
    def has_room(self) -> bool:
        """Whether there is room for more chunks."""
        return len(self._index.index) < _MAX_CHUNKS

    def cut(self, path: bytes, fd: int) -> None:
        """Cuts and indexes an open file. Skips it with a note if it cannot be read."""
        size = os.fstat(fd).st_size
        if not size or not self.has_room:
            return
        start = self._seed.files.add(path, size)
        try:
            if size <= SMALL_BYTES:
                offset = start
                for ident, chunk in cut_small(read_range(fd, 0, size), self._params):
                    self._index.note(offset, ChunkId(ident), len(chunk))
                    offset += len(chunk)
            else:
                self._list(fd, start)
        except (OSError, CasyncError) as error:
            self._progress.note(f"seed {self._seed.path}/{os.fsdecode(path)}: {error}")

    def _list(self, fd: int, start: int) -> None:
        def note(offset: int, ident: ChunkId, length: int) -> bool:
            return self._index.note(start + offset, ident, length) and self.has_room

        list_chunks(self._seed.path, self._params, note, self._progress, descriptor=fd)


def add_named(
    index: SeedIndex, named: Sequence[Path], params: ChunkerParams, progress: Progress
) -> None:
    """Indexes files, folders and devices that the user named.

    Raises:
        UsageError: One of them does not exist, or its folder cannot be opened.
    """
    for path in named:
        if path.is_dir():
            _add_folder(index, path, params, progress)
            continue
        for file in expand_seed_path(path):
            try:
                seed = SeedFile(file)
                progress.start("reading seed", seed.identity.size if seed.is_regular else None)
                index.add(seed)
                list_chunks(file, params, index.note, progress)
            except (OSError, CasyncError) as error:
                progress.note(f"seed {file} cannot be read: {error}")


def _add_folder(index: SeedIndex, path: Path, params: ChunkerParams, progress: Progress) -> None:
    try:
        root = os.open(path, FOLDER | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"no such seed: {path} ({error.strerror})") from error
    try:
        progress.start("reading seed", None)
        seeds = FolderSeeds(index, root, path, params, progress)
        for name in sorted(map(os.fsencode, os.listdir(root))):
            for inner, status in below(root, name):
                if not seeds.has_room:
                    return
                if stat.S_ISREG(status.st_mode):
                    with ExitStack() as stack, suppress(OSError):
                        fd = open_beneath(root, inner, os.O_RDONLY)
                        stack.callback(os.close, fd)
                        seeds.cut(inner, fd)
    except OSError as error:
        progress.note(f"seed {path} cannot be read: {error.strerror}")
    finally:
        os.close(root)
