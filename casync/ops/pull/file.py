"""Pulls a file: rebuilds its content from local sources, and fetches only the rest.

The plan (`casync.planning.plan`) says where the bytes come from; `casync.ops.pull.rebuild` carries
it out. The target changes only once its content is complete. The next pull checks and uses what an
interrupted one left in the part file.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec

from casync.access.content_file import read_range
from casync.access.endpoints import Endpoints
from casync.access.keeper import Keeper
from casync.access.outline import load_outline
from casync.access.progress import SILENT, Progress
from casync.errors import DigestMismatchError, NoObjectError, UsageError
from casync.fs.identity import NO_FILE, FileIdentity
from casync.fs.rest import comes_to_rest
from casync.fs.seed import SeedFile
from casync.fs.sync import settle_file
from casync.fs.target.base import Sink, open_sink
from casync.fs.target.part import PartFile
from casync.fs.target.place import TargetPlace
from casync.fs.target.stream import StreamSink
from casync.ids import Buffer, ManifestId
from casync.limits import MIB
from casync.ops.pull.in_place import MovedRanges, move
from casync.ops.pull.rebuild import Rebuilder
from casync.ops.pull.room import check_room
from casync.ops.pull.seeds import Seeds
from casync.ops.pull.wanted import PullOptions, PullPlan, WantedFile, is_up_to_date
from casync.ops.pull.work import Nowhere, TargetWriter, Work
from casync.planning.portions import portions
from casync.planning.stretches import Stretch
from casync.store.base import Batch, ManifestState, RememberedFile, Traffic

__all__ = ["Pulled", "pull"]

_READ_BYTES: Final = 4 * MIB


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
    outline, target, since, _ = wanted
    if target is None and not endpoints.lasting:
        raise UsageError("there is no writable store to pull into", next_step="Give -o OUT.")
    if options.cache and not endpoints.lasting:
        raise UsageError("there is no writable store to cache the chunks in")
    work = _Pull(wanted, endpoints, options, progress)
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


class _Pull:
    """One pull."""

    def __init__(
        self, wanted: WantedFile, endpoints: Endpoints, options: PullOptions, progress: Progress
    ) -> None:
        self.given: Counter[str] = Counter()
        self.seeds: dict[Path, int] = {}
        self._wanted = wanted
        self._outline = wanted.outline
        self._endpoints = endpoints
        self._options = options
        self._progress = progress
        self._relied: list[ManifestId] = []  # their nodes are below the outline

    def to_file(self, place: TargetPlace) -> str:
        """Writes a file or a device."""
        if is_up_to_date(self._wanted, place, self._endpoints, self._options, self._progress):
            return self._leave(place)
        length = self._outline.content.length
        with open_sink(place, length) as sink:
            check_room(self._wanted, place, sink.allocated, partial(self._planned, place))
            if place.in_place:
                self._rebuild_in_place(sink, place)
            else:
                self._rebuild(sink, place, kept_label="part file")
            self._check_digest(_pieces(sink.read, length))
            for note in sink.commit():
                self._progress.note(note)
            identity = sink.identity()
        self._publish(place, identity, full=self._options.cache)
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
        self._wanted.loader.flush()
        length = self._outline.content.length
        self._check_digest(read_range(self._outline, self._endpoints.store, 0, length))
        self._publish(None, None, full=True)
        return "stored"

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

    def _rebuild(self, output: TargetWriter, place: TargetPlace | None, *, kept_label: str) -> None:
        """Writes every chunk to its places in `output`."""
        with self._planned(place) as planned:
            stretches = planned.stretches(repeats=output.readable or output.discards)
            share = partial(_share, output, planned.seeds)
            self._work(output, planned, stretches, kept_label=kept_label, share=share)

    def _rebuild_in_place(self, sink: Sink, place: TargetPlace) -> None:
        """Moves chunks inside the target first, then writes what it lacks."""
        with self._planned(place) as planned:
            moves = planned.moves()
            trusted = self._trusted(planned, place, sink)
            self._distrust(place)
            moved = move(moves, sink, self._progress) if moves else MovedRanges()
            self._work(
                sink,
                planned,
                planned.stretches(),
                kept_label="in place",
                trusted=trusted,
                moved=moved,
            )

    def _planned(self, place: TargetPlace | None) -> PullPlan:
        planned = PullPlan(self._wanted, place, self._endpoints, self._options, self._progress)
        self._relied = planned.seeds.manifests
        return planned

    def _work(
        self,
        output: TargetWriter,
        planned: PullPlan,
        stretches: Iterable[Stretch],
        *,
        kept_label: str,
        share: Callable[[int, int, int, int], range] | None = None,
        trusted: int | None = None,
        moved: MovedRanges | None = None,
    ) -> None:
        keeps = self._options.cache or output.discards
        self._progress.start("pulling", self._outline.length)
        planned.seeds.be_quiet()
        work = Work(
            portions=portions(
                stretches,
                planned.contents(),
                trusted=None if keeps else trusted,
                repeats=not output.discards,
            ),
            length=self._outline.length,
            hole=self._outline.params.max_size,
            part=self._outline.part,
            read_seed=planned.seeds.read,
            supplies=planned.supplies,
            share=share,
            keeper=Keeper(self._endpoints.store) if keeps else None,
            kept_label=kept_label,
            target=planned.target,
            moved=moved or MovedRanges(),
        )
        rebuilder = Rebuilder(
            work, output, workers=self._options.connections, progress=self._progress
        )
        self.given += rebuilder.run()
        self.seeds = planned.seeds.paths(rebuilder.used)

    def _trusted(self, planned: PullPlan, place: TargetPlace, sink: Sink) -> int | None:
        """The number of the target, if its chunks need no look where they stay.

        Either the store remembers the file in exactly this state, since long enough that a later
        write would show, and can take that back before the first write; or it is cut now, and so
        proved.
        """
        target, identity = planned.target, sink.identity()
        if target is None or planned.seeds.proves(target, identity):
            return target
        row = self._endpoints.memory.recall(bytes(place.path))
        is_sure = row is not None and row.settled and row.identity == identity
        doubts = self._options.reread or not self._endpoints.lasting
        return target if is_sure and not doubts else None

    def _distrust(self, place: TargetPlace) -> None:
        """Makes the remembered state of a target match no file. The first write follows.

        Its content stays on record: the nodes of the new content rely on those of the old one.
        """
        row = self._endpoints.memory.recall(bytes(place.path))
        if self._endpoints.lasting and row is not None:
            row = msgspec.structs.replace(row, identity=NO_FILE, settled=False)
            self._endpoints.store.commit(Batch(remember=[row]))

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
        outline, loader = self._outline, self._wanted.loader
        loader.flush()
        state = ManifestState.FULL if full else ManifestState.OUTLINE
        batch = Batch(manifests=[(outline.id, state, outline.content.length)])
        # The times of a device do not change with its bytes.
        if place is not None and identity is not None and not place.is_device:
            rests = comes_to_rest(place.path, identity)
            row = RememberedFile(bytes(place.path), identity, outline.id, settled=rests)
            batch.remember.append(row)
        if not full and not batch.remember:
            return
        try:
            self._endpoints.store.commit(replace(batch, outlines=self._relied))
        except NoObjectError:  # an old content was removed meanwhile, with nodes of the new one
            load_outline(outline, loader)
            self._endpoints.store.commit(batch)


def _share(
    output: TargetWriter, seeds: Seeds, number: int, source: int, offset: int, length: int
) -> range:
    """Makes a range of a new file share blocks with a seed; see `Work.share`."""
    fd = seeds.descriptor(number)
    if fd is None or not isinstance(output, PartFile):
        return range(0)
    return output.share(fd, source, offset, length)


def _pieces(read: Callable[[int, int], bytes], length: int) -> Iterator[bytes]:
    for offset in range(0, length, _READ_BYTES):
        yield read(offset, min(_READ_BYTES, length - offset))
