"""Pulls a file: rebuilds its content from local sources, and fetches only the rest.

The manifest and its nodes come first, then the chunks (`casync.ops.pull.rebuild`), cheapest source
first. The target changes only once its content is complete. The next pull checks and uses what an
interrupted one left in the part file.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from casync.access.compare import holds
from casync.access.content_file import read_range
from casync.access.endpoints import Endpoints
from casync.access.keeper import Keeper
from casync.access.outline import Outline
from casync.access.progress import SILENT, Progress
from casync.access.supply import SeedSupply, StoreSupply, Supply, sources_of
from casync.errors import CasyncError, DigestMismatchError, UsageError
from casync.fs.identity import FileIdentity
from casync.fs.paths import StrPath, as_path
from casync.fs.seed import SeedFile, SeedIndex
from casync.fs.sync import settle_file
from casync.fs.target.base import open_sink
from casync.fs.target.place import TargetPlace, check_space
from casync.fs.target.stream import StreamSink
from casync.ids import Buffer, ManifestId
from casync.limits import MIB
from casync.ops.pull.in_place import move_in_place
from casync.ops.pull.rebuild import Nowhere, Rebuilder, TargetWriter
from casync.ops.pull.seeds import chunks_of, collect_seeds, known_outline
from casync.ops.pull.server_supply import DeltaChoice, ServerSupply
from casync.store.base import (
    Batch,
    ManifestState,
    RememberedFile,
    Traffic,
)

__all__ = ["PullOptions", "Pulled", "WantedFile", "pull", "supplies_for"]

_READ_BYTES: Final = 4 * MIB


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How to pull.

    Attributes:
        seeds: Further files, folders and devices to use as seeds.
        in_place: Overwrite the target where it differs, instead of replacing it.
        cache: Also store all chunks.
        expect_sha256: The expected SHA-256 of the content.
        delta: Whether to request deltas against old versions.
        connections: Windows that are fetched at once.
    """

    seeds: Sequence[StrPath] = ()
    in_place: bool = False
    cache: bool = False
    expect_sha256: bytes | None = None
    delta: DeltaChoice = "auto"
    connections: int = 4

    @property
    def seed_paths(self) -> list[Path]:
        """The paths of `seeds`."""
        return [as_path(seed) for seed in self.seeds]


class Pulled(NamedTuple):
    """The result of a pull.

    Attributes:
        manifest: The pulled manifest.
        length: Plain bytes of its content.
        outcome: `written`, `up to date`, `stored` or `streamed`.
        sources: Plain bytes by source.
        seeds: Of those from seeds, the plain bytes by file.
        traffic: Network traffic.
        seconds: Duration.
    """

    manifest: ManifestId
    length: int
    outcome: str
    sources: dict[str, int]
    seeds: dict[Path, int]
    traffic: Traffic
    seconds: float


class WantedFile(NamedTuple):
    """A file to pull.

    Attributes:
        outline: Its outline, loaded.
        target: A file or block device, a stream, or None to pull only into the store.
        since: Start of the command, on `time.monotonic`.
    """

    outline: Outline
    target: TargetPlace | BinaryIO | None
    since: float


def pull(
    wanted: WantedFile,
    endpoints: Endpoints,
    options: PullOptions = PullOptions(),
    progress: Progress = SILENT,
) -> Pulled:
    """Pulls a file.

    Args:
        wanted: The file and the target.
        endpoints: Stores and servers.
        options: How to pull.
        progress: Receives phases, bytes and notes.

    Raises:
        UsageError: There is no writable store to pull into, or to cache chunks in.
        WriteError, NoSpaceError, LockedError: The target cannot be written. No chunk was fetched,
            unless the disk filled up during the pull.
        NotFoundError: No source has a chunk.
        IntegrityError: A source sent bytes that do not match the manifest, and no other has them.
        RemoteError, TimedOutError: Requests to servers failed.
    """
    outline, target, since = wanted
    if target is None and not endpoints.lasting:
        raise UsageError("there is no writable store to pull into", next_step="Give -o OUT.")
    if options.cache and not endpoints.lasting:
        raise UsageError("there is no writable store to cache the chunks in")
    work = _Pull(outline, endpoints, options, progress)
    if isinstance(target, TargetPlace):
        outcome = work.to_file(target)
    elif target is None:
        outcome = work.to_store()
    else:
        outcome = work.to_stream(target)
    return Pulled(
        manifest=outline.id,
        length=outline.content.length,
        outcome=outcome,
        sources={label: count for label, count in work.given.items() if count},
        seeds=work.seeds,
        traffic=endpoints.traffic,
        seconds=time.monotonic() - since,
    )


@contextmanager
def supplies_for(
    outline: Outline,
    place: TargetPlace | None,
    endpoints: Endpoints,
    options: PullOptions,
    progress: Progress,
    was: Outline | None = None,
) -> Iterator[list[Supply]]:
    """The supplies for one content, the cheapest first.

    Args:
        outline: The content.
        place: The target, if it is a file.
        endpoints: Stores and servers.
        options: Seeds, and the choice of deltas.
        progress: Receives a phase for each seed that must be read.
        was: The old content of a target that is overwritten in place: a base for deltas, which
            cannot serve as a seed.
    """
    supplies: list[Supply] = [StoreSupply(store) for store in endpoints.local]
    row = endpoints.memory.manifest(outline.id)
    if row is not None and row.state is ManifestState.FULL:
        index = SeedIndex()  # the store has all chunks; servers replace damaged ones
    else:
        index = collect_seeds(
            outline, endpoints, place=place, named=options.seed_paths, progress=progress
        )
    with closing(index), closing(SeedIndex()) as replaced:

        def old_versions() -> SeedIndex:
            if place is not None and was is not None and was.params == outline.params:
                with suppress(CasyncError, OSError):  # an incomplete index still helps
                    replaced.add(SeedFile(place.path), chunks_of(was))
            return replaced if replaced.seeds else index

        supplies.append(SeedSupply(index))
        if endpoints.servers:
            supplies.append(ServerSupply(endpoints.servers, old_versions, options.delta))
        yield supplies


class _Pull:
    """One pull, whose outline is loaded."""

    def __init__(
        self, outline: Outline, endpoints: Endpoints, options: PullOptions, progress: Progress
    ) -> None:
        self.given: Counter[str] = Counter()
        self.seeds: dict[Path, int] = {}
        self._outline = outline
        self._endpoints = endpoints
        self._options = options
        self._progress = progress

    def to_file(self, place: TargetPlace) -> str:
        """Writes a file or a device."""
        if self._is_up_to_date(place):
            return self._leave(place)
        options, length = self._options, self._outline.content.length
        with open_sink(place, length) as sink:
            check_space(place, self._outline.solid_bytes() - sink.allocated)
            if place.in_place:
                row = self._endpoints.memory.recall(bytes(place.path))
                was = known_outline(self._endpoints.memory, row.manifest) if row else None
                moved = move_in_place(
                    self._outline, was, sink, place.path, self._endpoints, self._progress
                )
                self._rebuild(sink, place, kept_label="in place", moved=moved, was=was)
            else:
                self._rebuild(sink, place, kept_label="part file")
            self._check_digest(_pieces(sink.read, length))
            for note in sink.commit():
                self._progress.note(note)
            identity = sink.identity()
        self._publish(place, identity, full=options.cache)
        return "written"

    def to_stream(self, stream: BinaryIO) -> str:
        """Writes to a stream. Its digest can be checked only after all was written."""
        sink = StreamSink(stream, self._outline.content.length)
        self._rebuild(sink, None, kept_label="")
        self._expect(sink.sha256())
        self._publish(None, None, full=self._options.cache)
        return "streamed"

    def to_store(self) -> str:
        """Fetches everything into the store."""
        self._rebuild(Nowhere(), None, kept_label="")
        length = self._outline.content.length
        self._check_digest(read_range(self._outline, self._endpoints.store, 0, length))
        self._publish(None, None, full=True)
        return "stored"

    def _is_up_to_date(self, place: TargetPlace) -> bool:
        if place.existing is None:
            return False
        row = self._endpoints.memory.recall(bytes(place.path))
        if row is not None and row.identity == place.existing and row.manifest != self._outline.id:
            known = known_outline(self._endpoints.memory, row.manifest)
            if known is not None and known.params == self._outline.params:
                return False
        return holds(place, self._outline, self._progress)

    def _leave(self, place: TargetPlace) -> str:
        """Checks and remembers a target that has the right content already."""
        if self._options.expect_sha256 is not None:
            with SeedFile(place.path) as file:
                self._check_digest(_pieces(file.read, self._outline.content.length))
        if self._options.cache:
            self._rebuild(Nowhere(), place._replace(in_place=False), kept_label="")
        else:
            self.given["in place"] += self._outline.content.length
        # A killed run may have written the target without making it durable.
        settle_file(place.path)
        self._publish(place, place.existing, full=self._options.cache)
        return "up to date"

    def _rebuild(
        self,
        output: TargetWriter,
        place: TargetPlace | None,
        *,
        kept_label: str,
        moved: Sequence[int] = (),
        was: Outline | None = None,
    ) -> None:
        """Writes every chunk to its places in `output`."""
        keeps = self._options.cache or output.discards
        with supplies_for(
            self._outline, place, self._endpoints, self._options, self._progress, was
        ) as supplies:
            self._progress.start("pulling", self._outline.content.length)
            rebuilder = Rebuilder(
                self._outline,
                output,
                supplies,
                keeper=Keeper(self._endpoints.store) if keeps else None,
                workers=self._options.connections,
                kept_label=kept_label,
                progress=self._progress,
                moved=moved,
            )
            sources, self.seeds = sources_of(rebuilder.run(), supplies)
            self.given.update(sources)

    def _check_digest(self, pieces: Iterable[Buffer]) -> None:
        """Checks the SHA-256 of the content, if one is expected."""
        if self._options.expect_sha256 is not None:
            digest = hashlib.sha256()
            for piece in pieces:
                digest.update(piece)
            self._expect(digest.digest())

    def _expect(self, digest: bytes) -> None:
        expected = self._options.expect_sha256
        if expected is not None and digest != expected:
            raise DigestMismatchError(
                f"{self._outline.id.hex()} has SHA-256 {digest.hex()}, not {expected.hex()}"
            )

    def _publish(
        self, place: TargetPlace | None, identity: FileIdentity | None, *, full: bool
    ) -> None:
        """Records the pulled manifest and file in the store. A full manifest stays full."""
        if not self._endpoints.lasting:
            return
        store, outline = self._endpoints.store, self._outline
        state = ManifestState.FULL if full else ManifestState.OUTLINE
        batch = Batch(manifests=[(outline.id, state, outline.content.length)])
        # The times of a device do not change with its bytes.
        if place is not None and identity is not None and not place.is_device:
            path = bytes(place.path)
            batch.remember.append(RememberedFile(path, identity, outline.id, settled=False))
        if full or batch.remember:
            store.commit(batch)


def _pieces(read: Callable[[int, int], bytes], length: int) -> Iterator[bytes]:
    for offset in range(0, length, _READ_BYTES):
        yield read(offset, min(_READ_BYTES, length - offset))
