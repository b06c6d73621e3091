"""Old files of a folder as seeds. Small files, which are most, are read whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from casync.access.progress import Progress
from casync.access.tree_load import Tree
from casync.cutting.list_chunks import NotedChunks, list_chunks
from casync.cutting.small import SMALL_BYTES, cut_small
from casync.errors import CasyncError, UsageError
from casync.fs.beneath import FOLDER, open_beneath
from casync.fs.extents import read_range
from casync.fs.folder_seed import FolderSeed
from casync.fs.removal import below
from casync.fs.seed import Seed, expand_seed_path
from casync.ids import ChunkId
from casync.objects.chunker import ChunkerParams
from casync.objects.node import Content
from casync.ops.pull.find_seeds import SeedFinder
from casync.ops.pull.seeds import Seeds
from casync.planning.plan import PART_CHUNKS, Block, PlanInput, plan
from casync.planning.portions import Contents, Portion, portions
from casync.planning.wanted_chunks import WantedChunks
from casync.store.base import ObjectStore

__all__ = ["FolderFiles", "add_named", "tree_portions"]


class FolderFiles:
    """Files below one folder, end to end, as one seed. Used by one thread.

    Args:
        seeds: The seeds to which it will be added; their table takes its chunks.
        root: Descriptor of the folder; may be closed before the seed.
        path: Its path.
        params: Chunk sizes of the wanted content.
        progress: Receives phases and notes.
    """

    outcome = "cut afresh"

    def __init__(
        self, seeds: Seeds, root: int, path: Path, params: ChunkerParams, progress: Progress
    ) -> None:
        self.number = len(seeds)
        self.progress = progress
        self._folder = FolderSeed(root, path)
        self.seed: Seed = self._folder
        self._params = params
        self._chunks = seeds.table.section()

    def cut(self, path: bytes, fd: int) -> None:
        """Adds an open file. Skips it with a note if it cannot be read."""
        size = os.fstat(fd).st_size
        if not size:
            return
        start = self._folder.files.add(path, size)
        try:
            if size <= SMALL_BYTES:
                offset = start
                for ident, chunk in cut_small(read_range(fd, 0, size), self._params):
                    self._chunks.add(offset, ChunkId(ident), len(chunk))
                    offset += len(chunk)
            else:
                self._list(fd, start)
        except (OSError, CasyncError) as error:
            self.progress.note(f"seed {self._folder.path}/{os.fsdecode(path)}: {error}")

    def blocks(self, wanted: WantedChunks) -> Iterable[Block]:
        """The chunks of all files."""
        self._chunks.flush()
        return self._chunks.blocks()

    def between(self, start: int, end: int) -> Iterator[tuple[int, ChunkId, int]]:
        """The chunks that overlap a range."""
        return self._chunks.between(start, end)

    def _list(self, fd: int, start: int) -> None:
        def note(offset: int, ident: ChunkId, length: int) -> None:
            self._chunks.add(start + offset, ident, length)

        chunks = NotedChunks(self._params, note)
        list_chunks(self._folder.path, self._params, chunks, self.progress, descriptor=fd)


def add_named(
    seeds: Seeds,
    named: Sequence[Path],
    params: ChunkerParams,
    memory: ObjectStore,
    progress: Progress,
) -> None:
    """Adds files, folders and devices that the user named.

    Args:
        seeds: The seeds.
        named: The paths.
        params: The chunk sizes of the wanted content.
        memory: The store that remembers files.
        progress: Receives phases and notes.

    Raises:
        UsageError: One of them does not exist, or its folder cannot be opened.
    """
    finder = SeedFinder(seeds, params, memory, progress)
    for path in named:
        if path.is_dir():
            _add_folder(seeds, path, params, progress)
            continue
        for file in expand_seed_path(path):
            finder.add_named(file)


def _add_folder(seeds: Seeds, path: Path, params: ChunkerParams, progress: Progress) -> None:
    try:
        root = os.open(path, FOLDER | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"no such seed: {path} ({error.strerror})") from error
    try:
        progress.start("reading seed", None)
        files = FolderFiles(seeds, root, path, params, progress)
        seeds.add(files)
        for name in sorted(map(os.fsencode, os.listdir(root))):
            for inner, status in below(root, name):
                if stat.S_ISREG(status.st_mode):
                    with ExitStack() as stack, suppress(OSError):
                        fd = open_beneath(root, inner, os.O_RDONLY)
                        stack.callback(os.close, fd)
                        files.cut(inner, fd)
    except OSError as error:
        progress.note(f"seed {path} cannot be read: {error.strerror}")
    finally:
        os.close(root)


def tree_portions(
    tree: Tree,
    contents: Iterable[tuple[int, Content]],
    seeds: Seeds,
    *,
    part_chunks: int = PART_CHUNKS,
    repeats: bool = True,
) -> Iterator[Portion]:
    """The plan for contents of a tree.

    Args:
        tree: The tree.
        contents: The contents end to end, each with its offset.
        seeds: The seeds.
        part_chunks: Chunks that are planned together.
        repeats: Whether chunks that repeat are written.
    """
    listed = Contents(tree.node, tree.params.max_size, tree.load)
    stretches = plan(
        PlanInput(
            contents=lambda: listed.listed(contents),
            fetch=tree.nodes,
            read=tree.encoded,
            params=tree.params,
            trees=seeds.trees,
            lists=seeds.lists,
            part_chunks=part_chunks,
        )
    )
    return portions(stretches, listed, trusted=None, repeats=repeats)
