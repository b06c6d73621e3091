"""Finds seeds: the target, files that the store remembers, and files that the user names.

An unchanged remembered file is not read: its manifest lists its chunks. A changed one is cut again
only if its old content shares chunks with the wanted one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from casync.access.endpoints import Endpoints
from casync.access.outline import Outline, open_outline
from casync.access.progress import Progress
from casync.cutting.list_chunks import list_chunks
from casync.errors import CasyncError
from casync.fs.seed import SeedFile, SeedIndex, expand_seed_path
from casync.fs.target.place import TargetPlace
from casync.ids import ChunkId, ManifestId
from casync.objects.node import distinct, runs
from casync.store.base import Batch, ObjectStore, RememberedFile

__all__ = ["chunks_of", "collect_seeds", "known_outline"]

_MAX_REMEMBERED: Final = 64
"""Remembered files to consider, the newest first."""

_SAMPLE_BELOW: Final = 4096
"""Content longer than this many average chunks is compared by a sample of its ids."""


def known_outline(store: ObjectStore, manifest: bytes) -> Outline | None:
    """The outline of a remembered file's manifest, or None if the manifest cannot be read."""
    try:
        return open_outline(ManifestId(manifest), store)
    except CasyncError:
        return None


def chunks_of(outline: Outline) -> Iterator[tuple[int, ChunkId, int]]:
    """The chunks of a manifest as (offset, id, length), without holes and immediate repeats."""
    largest = outline.params.max_size
    for offset, run in runs(outline.content, outline.node):
        if run.length != largest or not outline.is_hole(run.id, largest):
            yield offset, ChunkId(run.id), run.length


def collect_seeds(
    outline: Outline,
    endpoints: Endpoints,
    *,
    place: TargetPlace | None,
    named: Sequence[Path],
    progress: Progress,
) -> SeedIndex:
    """Indexes all files that may hold chunks of `outline`.

    Args:
        outline: The wanted content.
        endpoints: The store that remembers files; rows of files that vanished are removed.
        place: The target. A file that will be replaced is the likeliest seed, and is cut if its
            chunks are not known. A target that is overwritten in place is not a seed.
        named: Files, folders and devices that the user named.
        progress: Receives a phase for each file that is read.

    Raises:
        UsageError: A named seed does not exist, or is not a file.
    """
    memory = endpoints.memory
    finder = _Finder(outline, memory, progress)
    try:
        looked = set() if place is None else {place.path}
        if place is not None and place.existing is not None and not place.in_place:
            finder.add(place.path, memory.recall(bytes(place.path)), must_cut=True)
        # Named seeds come before remembered ones, because the index is bounded.
        for path in named:
            for seed in expand_seed_path(path):
                real = seed.resolve()
                if real not in looked:
                    looked.add(real)
                    finder.add(real, memory.recall(bytes(real)), must_cut=True)
        vanished: list[bytes] = []
        for row, _ in zip(memory.remembered(), range(_MAX_REMEMBERED), strict=False):
            path = Path(row.path.decode(errors="surrogateescape"))
            if _has_vanished(path):
                vanished.append(row.path)
            elif path not in looked:
                finder.add(path, row, must_cut=False)
        if vanished and endpoints.lasting:
            endpoints.store.commit(Batch(forget=vanished))
    except BaseException:
        finder.index.close()
        raise
    return finder.index


def _has_vanished(path: Path) -> bool:
    """Whether there is certainly no file at `path`."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


class _Finder:
    def __init__(self, outline: Outline, store: ObjectStore, progress: Progress) -> None:
        self.index = SeedIndex()
        self._outline = outline
        self._store = store
        self._progress = progress
        self._sample: frozenset[ChunkId] | None = None

    def add(self, path: Path, row: RememberedFile | None, *, must_cut: bool) -> None:
        """Adds one file. Skips a file that cannot be read, with a note."""
        known = known_outline(self._store, row.manifest) if row is not None else None
        try:
            seed = SeedFile(path)
            if row is not None and known is not None:
                if row.identity == seed.identity and known.params == self._outline.params:
                    self.index.add(seed, self._walk(known))
                    self.index.looked.append((path, "known"))
                    return
                must_cut = must_cut or self._is_related(known)
            if not must_cut:
                seed.close()
                self.index.looked.append((path, "unrelated"))
                return
            self._progress.start("reading seed", seed.identity.size if seed.is_regular else None)
            self.index.add(seed)
            list_chunks(path, self._outline.params, self.index.note, self._progress)
            self.index.looked.append((path, "cut afresh"))
        except (OSError, CasyncError) as error:
            self.index.looked.append((path, "unreadable"))
            self._progress.note(f"seed {path} cannot be read: {error}")

    def _walk(self, known: Outline) -> Iterator[tuple[int, ChunkId, int]]:
        """The chunks of a known seed, as far as its nodes can be read."""
        try:
            yield from chunks_of(known)
        except CasyncError as error:
            self._progress.note(f"the manifest of a seed cannot be read: {error.message}")

    def _is_related(self, known: Outline) -> bool:
        """Whether `known` shares chunks with the wanted content, by a sample of their ids."""
        if known.params != self._outline.params:
            return False
        if self._sample is None:
            self._sample = frozenset(self._sampled(self._outline))
        return any(ident in self._sample for ident in self._sampled(known))

    def _sampled(self, outline: Outline) -> Iterator[ChunkId]:
        """The ids of a sample of chunks, as far as the nodes can be read."""
        small = self._outline.content.length < _SAMPLE_BELOW * outline.params.avg_size
        with suppress(CasyncError):
            for run in distinct(outline.content, outline.node):
                if (small or run.id[0] == 0) and not outline.is_hole(run.id, run.length):
                    yield ChunkId(run.id)
