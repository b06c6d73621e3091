"""Finds seeds: the target, files that the store remembers, and files that the user names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from casync.access.endpoints import Endpoints
from casync.access.progress import Progress
from casync.errors import CasyncError
from casync.fs.seed import SeedFile, expand_seed_path
from casync.fs.target.place import TargetPlace
from casync.objects.chunker import ChunkerParams
from casync.ops.pull.seeds import CutSeed, KnownSeed, Seeds, known_outline
from casync.store.base import Batch, ObjectStore, RememberedFile

__all__ = ["SeedFinder", "collect_seeds"]

_MAX_REMEMBERED: Final = 64
"""Remembered files to consider, the newest first."""


def collect_seeds(
    params: ChunkerParams,
    endpoints: Endpoints,
    *,
    place: TargetPlace | None,
    named: Sequence[Path],
    progress: Progress,
) -> Seeds:
    """Finds the files that may hold chunks of a content.

    Args:
        params: The chunk sizes of the content.
        endpoints: The store that remembers files; rows of files that vanished are removed.
        place: The target: what is there is the likeliest seed.
        named: Files, folders and devices that the user named.
        progress: Receives a phase for each file that is cut.

    Raises:
        UsageError: A named seed does not exist, or is not a file.
    """
    memory = endpoints.memory
    seeds = Seeds(endpoints.store)
    finder = SeedFinder(seeds, params, memory, progress)
    try:
        if place is not None and place.existing is not None:
            finder.add_named(place.path)
            seeds.target = 0 if len(seeds) else None
        for path in named:
            for file in expand_seed_path(path):
                finder.add_named(file)
        vanished: list[bytes] = []
        for row, _ in zip(memory.remembered(), range(_MAX_REMEMBERED), strict=False):
            path = Path(os.fsdecode(row.path))
            if _has_vanished(path):
                vanished.append(row.path)
            else:
                finder.add_remembered(path, row)
        if vanished and endpoints.lasting:
            endpoints.store.commit(Batch(forget=vanished))
    except BaseException:
        seeds.close()
        raise
    return seeds


def _has_vanished(path: Path) -> bool:
    """Whether there is certainly no file at `path`."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


class SeedFinder:
    """Adds files to seeds, each once. Skips those that cannot be opened, with a note.

    Args:
        seeds: The seeds.
        params: The chunk sizes of the wanted content.
        memory: The store that remembers files.
        progress: Receives a phase for each file that is cut, and notes.
    """

    def __init__(
        self, seeds: Seeds, params: ChunkerParams, memory: ObjectStore, progress: Progress
    ) -> None:
        self._seeds = seeds
        self._params = params
        self._memory = memory
        self._progress = progress
        self._looked: set[Path] = set()

    def add_named(self, path: Path) -> None:
        """Adds a file that is cut if its content is not known."""
        real = path.resolve()
        self._add(real, self._memory.recall(bytes(real)), must_cut=True)

    def add_remembered(self, path: Path, row: RememberedFile) -> None:
        """Adds a file if its content is known, or was before it changed."""
        self._add(path, row, must_cut=False)

    def _add(self, path: Path, row: RememberedFile | None, *, must_cut: bool) -> None:
        if path in self._looked:
            return
        self._looked.add(path)
        known = known_outline(self._memory, row.manifest) if row is not None else None
        if known is not None and known.params != self._params:
            known = None
        if known is None and not must_cut:
            return
        try:
            seed = SeedFile(path)
        except (OSError, CasyncError) as error:
            self._seeds.unreadable.append(path)
            self._progress.note(f"seed {path} cannot be read: {error}")
            return
        if row is not None and known is not None and row.identity == seed.identity:
            self._seeds.add(KnownSeed(seed, known, self._memory))
            return
        was = None
        if known is not None and not must_cut:
            was = KnownSeed(seed, known, self._memory).tree(len(self._seeds))
        self._seeds.add(CutSeed(self._seeds, seed, self._params, self._progress, was))
