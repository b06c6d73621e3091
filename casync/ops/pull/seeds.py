"""Seeds of a pull: local files that may hold chunks of the wanted content.

The chunks of an unchanged remembered file are known from its manifest. Other files are cut, but
only once chunks are missing; a remembered file that has changed only if its old content has some of
them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Final, Protocol

from casync.access.outline import ObjectLoader, Outline, open_outline
from casync.access.progress import SILENT, Progress
from casync.cutting.list_chunks import list_chunks
from casync.errors import CasyncError
from casync.fs.chunk_table import ChunkTable
from casync.fs.identity import FileIdentity
from casync.fs.seed import Seed, SeedFile
from casync.ids import Buffer, ChunkId, Kind, ManifestId, manifest_id
from casync.limits import MAX_BATCH_BASES
from casync.objects.chunker import ChunkerParams
from casync.objects.codec import Packer
from casync.objects.leaves import LeafCursor
from casync.objects.manifest import Manifest, encode_manifest
from casync.objects.node import NodeBuilder
from casync.planning.adjacent import read_places
from casync.planning.node_match import OldTree
from casync.planning.plan import Block, ChunkList, all_chunks
from casync.planning.wanted_chunks import WantedChunks
from casync.planning.windows import Place
from casync.store.base import ObjectStore
from casync.store.proved import ProvedReader

__all__ = ["CutSeed", "KnownSeed", "ListedSeed", "Seeds", "known_outline"]

_MAX_OPEN: Final = 64
"""Seeds that stay open. Others are opened for each read, to save descriptors."""

_CUT: Final = "cut afresh"


def known_outline(store: ObjectStore, manifest: bytes) -> Outline | None:
    """The outline of a remembered file's manifest, or None if the store does not vouch for it."""
    ident = ManifestId(manifest)
    try:
        return open_outline(ident, store) if store.manifest(ident) is not None else None
    except CasyncError:
        return None


class ListedSeed(ChunkList, Protocol):
    """A seed whose chunks are listed. `between` is used by several threads.

    Attributes:
        seed: Its bytes.
        outcome: What became of it, for reports.
        progress: Receives a phase if it is cut.
    """

    seed: Seed
    outcome: str
    progress: Progress

    def between(self, start: int, end: int) -> Iterator[tuple[int, ChunkId, int]]:
        """The chunks that overlap a range, as (offset, id, length), as far as they are known."""
        ...


class KnownSeed:
    """A file whose content is known.

    Args:
        seed: The file.
        outline: Its content.
        store: Has the nodes of the content.
    """

    outcome = "known"

    def __init__(self, seed: Seed, outline: Outline, store: ObjectStore) -> None:
        self.seed = seed
        self.outline = outline
        self._nodes = ProvedReader(store)
        self._lock = threading.Lock()
        again = Outline(outline.id, outline.manifest, store)  # for other threads
        self._cursor = LeafCursor(again.content, again.node)

    def tree(self, number: int) -> OldTree:
        """Its nodes."""
        outline = self.outline
        return OldTree(number, outline.content, outline.node, partial(self._nodes.found, Kind.NODE))

    def between(self, start: int, end: int) -> Iterator[tuple[int, ChunkId, int]]:
        """The chunks that overlap a range; none if its nodes cannot be read."""
        with self._lock:
            try:
                found = list(self._cursor.chunks(start, min(end, self.outline.length)))
            except CasyncError:
                found = []
        return ((offset, ChunkId(ident), length) for offset, (ident, length) in found)


class CutSeed:
    """A file that is cut when nodes or chunks are missing.

    Args:
        seeds: The seeds to which it will be added; their store takes its nodes.
        seed: The file.
        params: The chunk sizes.
        progress: Receives a phase while it is cut, and a note if it cannot be read.
        was: Its content before it changed. It is cut only if that has missing chunks.
    """

    def __init__(
        self,
        seeds: Seeds,
        seed: SeedFile,
        params: ChunkerParams,
        progress: Progress,
        was: OldTree | None = None,
    ) -> None:
        self.number = len(seeds)
        self._nodes = seeds.nodes
        self.seed: Seed = seed
        self.outcome = "unrelated" if was else "not needed"
        self._size = seed.identity.size if seed.is_regular else None
        self._file = seed
        self._params = params
        self.progress = progress
        self._was = was
        self._is_done = False
        self._known: KnownSeed | None = None

    def blocks(self, wanted: WantedChunks) -> Iterable[Block]:
        """Its chunks; none if its old content had none of `wanted`."""
        if not self._is_done:
            if self._was is not None and not any(
                any(wanted.among(block.ids)) for block in all_chunks(self._was)
            ):
                return ()
            self.cut()
            self._nodes.flush()
        return all_chunks(self.tree) if self.tree is not None else ()

    @property
    def tree(self) -> OldTree | None:
        """Its nodes, once it is cut; None if it is empty or cannot be read."""
        return self._known.tree(self.number) if self._known is not None else None

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known of its content."""
        return self._was is None and not self._is_done

    @property
    def is_cut(self) -> bool:
        """Whether all of it has been cut."""
        return self.outcome == _CUT

    def is_file(self, identity: FileIdentity) -> bool:
        """Whether it is the file of an identity, in whatever state."""
        mine = self._file.identity
        return (mine.device, mine.inode) == (identity.device, identity.inode)

    def cut(self) -> None:
        """Cuts it. What was cut before an error is known, once the nodes are flushed."""
        path = self.seed.path
        self.outcome, self._is_done = _CUT, True
        self.progress.start("reading seed", self._size)
        nodes, packer = self._nodes, Packer()
        builder = NodeBuilder(lambda _, data: nodes.keep(packer.pack_new(Kind.NODE, data)))
        descriptor = self._file.descriptor
        try:
            list_chunks(path, self._params, builder, self.progress, descriptor=descriptor)
        except (OSError, CasyncError) as error:
            self.outcome = "unreadable"
            self.progress.note(f"seed {path} cannot be read: {error}")
        content = builder.finish()
        if content.length:
            manifest = Manifest("file", self._params, content)
            ident = manifest_id(encode_manifest(manifest))
            outline = Outline(ident, manifest, nodes.store)
            self._known = KnownSeed(self.seed, outline, nodes.store)

    def between(self, start: int, end: int) -> Iterator[tuple[int, ChunkId, int]]:
        """The chunks that overlap a range."""
        return self._known.between(start, end) if self._known is not None else iter(())


class Seeds:
    """Numbered seeds, of which each is closed at the end.

    Args:
        store: Takes the nodes of files that are cut.

    Attributes:
        trees: The nodes of seeds whose content is known.
        lists: The other seeds.
        manifests: The manifests of `trees`.
        unreadable: Files that could not be opened.
        nodes: Puts nodes into the store, many with one commit.
        table: Lists the chunks of files of folders.
        target: The number of the old file in the place of the target; None if there is none.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.nodes = ObjectLoader(store, ())
        self.target: int | None = None
        self.trees: list[OldTree] = []
        self.lists: list[ListedSeed] = []
        self.manifests: list[ManifestId] = []
        self.unreadable: list[Path] = []
        self.table = ChunkTable()
        self._all: list[KnownSeed | ListedSeed] = []

    def __len__(self) -> int:
        return len(self._all)

    def add(self, seed: KnownSeed | ListedSeed) -> None:
        """Adds a seed. Its number is that of the seeds before it."""
        if isinstance(seed, KnownSeed):
            self.trees.append(seed.tree(len(self._all)))
            self.manifests.append(seed.outline.id)
        else:
            self.lists.append(seed)
        self._all.append(seed)
        if len(self._all) > _MAX_OPEN:
            seed.seed.close()

    def unknown(self, most: int) -> list[CutSeed]:
        """Files that may be cut, and of which nothing is known; the first `most` of them."""
        seeds = (seed for seed in self.lists if isinstance(seed, CutSeed) and seed.is_unknown)
        return list(islice(seeds, most))

    def learn(self, seeds: Sequence[CutSeed]) -> None:
        """Cuts such files. Their nodes are known then."""
        for seed in seeds:
            seed.cut()
            self.lists.remove(seed)
            if seed.tree is not None:
                self.trees.append(seed.tree)
        self.nodes.flush()

    @property
    def looked(self) -> list[tuple[Path, str]]:
        """The files that were considered, and what became of each."""
        found = [(seed.seed.path, seed.outcome) for seed in self._all]
        return found + [(path, "unreadable") for path in self.unreadable]

    def proves(self, number: int, identity: FileIdentity) -> bool:
        """Whether a seed is a certain file, and was cut to its end, which hashed all of it."""
        seed = self._all[number]
        return isinstance(seed, CutSeed) and seed.is_cut and seed.is_file(identity)

    def paths(self, used: Mapping[int, int]) -> dict[Path, int]:
        """Bytes by the path of a seed, the most first, from bytes by its number."""
        most = sorted(used.items(), key=itemgetter(1), reverse=True)
        return {self._all[number].seed.path: count for number, count in most if count}

    def be_quiet(self) -> None:
        """Makes seeds that are cut from now on begin no phase."""
        for seed in self.lists:
            seed.progress = SILENT

    def read(self, number: int, offset: int, length: int) -> bytes:
        """Bytes of a seed; fewer where it ends or cannot be read. Used by several threads."""
        try:
            return self._all[number].seed.read(offset, length)
        except OSError:
            return b""

    def device(self, number: int) -> int | None:
        """The file system of a seed; None if it is not a regular file."""
        seed = self._all[number].seed
        return seed.identity.device if isinstance(seed, SeedFile) and seed.is_regular else None

    def descriptor(self, number: int) -> int | None:
        """The open file of a seed; None if it is not open."""
        seed = self._all[number].seed
        return seed.descriptor if isinstance(seed, SeedFile) else None

    def bases(self, ranges: Iterable[tuple[int, int, int]]) -> list[tuple[ChunkId, Buffer]]:
        """The chunks that overlap ranges of seeds, each as (seed, start, end), if unchanged."""
        found: dict[ChunkId, Buffer] = {}
        for number, start, end in ranges:
            listed = islice(self._all[number].between(start, end), MAX_BATCH_BASES // 2)
            places = [Place(*chunk) for chunk in listed]
            read = partial(self.read, number)
            for place, plain in chain.from_iterable(read_places(read, places)):
                if plain is not None:
                    found[place.id] = plain
        return list(found.items())

    def close(self) -> None:
        """Closes all files."""
        for seed in self._all:
            seed.seed.close()
        self.table.close()
