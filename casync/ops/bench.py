"""Measures the cost of a delta transfer from one file to the next, by doing it.

For given chunk sizes both files are prepared into a new store; then a receiver that pulled the old
file before pulls the new one. The code is that of prepare and pull, without the network
(`casync.ops.loopback`). All files go to a folder that the caller provides and removes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from casync.access.endpoints import Endpoints
from casync.access.locate import fetch
from casync.access.outline import open_outline
from casync.access.progress import Progress
from casync.fs.os_errors import free_bytes, no_space
from casync.fs.source.file import FileSource, Hole
from casync.ids import Kind, ManifestId
from casync.limits import MIB
from casync.names.name import Ref
from casync.objects.chunker import ChunkerParams
from casync.ops.inspect.show import Statistics, show
from casync.ops.loopback import Loopback
from casync.ops.prepare.file import PrepareOptions, prepare
from casync.ops.prepare.prepared import Prepared
from casync.ops.pull.file import pull
from casync.ops.pull.wanted import PullOptions, WantedFile
from casync.ops.pull_folder.look_up import look_up
from casync.planning.node_match import OldTree
from casync.planning.origins import OriginMap
from casync.planning.plan import PlanInput, plan
from casync.store.base import Batch, ManifestState, ObjectStore
from casync.store.proved import ProvedReader

__all__ = ["BenchInput", "StoreMaker", "Transfer", "Trial", "look", "measure", "recommend"]

_CELLS: Final = 2048
"""Cells of the map of origins: as many as are visible on a page."""

_ROOM: Final = 16 * MIB
"""Bytes of empty stores. Segments and indexes take another sixteenth of the chunks."""

_TOLERANCE: Final = 10
"""A size is as good as the best one if it moves at most a tenth more bytes; see `recommend`."""

_TRIFLE: Final = 1000
"""Nor does a thousandth of the new file justify smaller chunks."""

StoreMaker = Callable[[Path], AbstractContextManager[ObjectStore]]
"""Creates an empty store in a folder that does not exist yet."""


class BenchInput(NamedTuple):
    """One of the two files.

    Attributes:
        path: Its path.
        length: Its size in bytes.
        data: Bytes outside of holes.
    """

    path: Path
    length: int
    data: int


class Transfer(NamedTuple):
    """The traffic of one pull.

    Attributes:
        chunks: Bytes of received chunks, with their frames.
        manifest: Bytes of the received manifest and nodes, with their frames.
        sent: Bytes of the requests.
        requests: Number of requests.
        seconds: Duration of the pull, including syncs, without a network.
    """

    chunks: int
    manifest: int
    sent: int
    requests: int
    seconds: float

    @property
    def received(self) -> int:
        """All received bytes."""
        return self.chunks + self.manifest


class Trial(NamedTuple):
    """The measurement of one choice of chunk sizes.

    Attributes:
        params: The chunk sizes.
        old: The result of preparing the old file, into an empty store.
        new: The result of preparing the new file, into the same store.
        whole: Statistics of the new file's manifest.
        origins: The sources of the new file's bytes.
        plain: The pull without deltas.
        delta: The pull with deltas, which the same CPUs made at the same time.
    """

    params: ChunkerParams
    old: Prepared
    new: Prepared
    whole: Statistics
    origins: OriginMap
    plain: Transfer
    delta: Transfer

    @property
    def best(self) -> Transfer:
        """The pull that moved less."""
        return min(self.plain, self.delta, key=lambda transfer: transfer.received)


def look(path: Path, progress: Progress) -> BenchInput:
    """Reads a file once, so that all later reads find it in the page cache alike.

    Raises:
        NotFoundError, UsageError, DeniedError, SourceChangedError: It cannot be measured.
    """
    with FileSource(path) as source:
        progress.start("reading", source.length)
        data = 0
        for block in source.blocks():
            if isinstance(block, Hole):
                progress.advance(block.length)
            else:
                data += len(block)
                progress.advance(len(block))
        return BenchInput(path, source.length, data)


def measure(
    old: BenchInput,
    new: BenchInput,
    params: ChunkerParams,
    folder: Path,
    make_store: StoreMaker,
    progress: Progress,
) -> Trial:
    """Measures one choice of chunk sizes.

    Args:
        old: The file that the receiver has.
        new: The file that it wants.
        params: Chunk sizes.
        folder: An empty folder for all files; the caller removes it.
        make_store: Creates the stores.
        progress: Receives phases and bytes.

    Raises:
        NoSpaceError: The folder's disk has no room for a store of the old file and the rebuilt
            file, or filled up later.
        CasyncError: As `prepare` and `pull`.
    """
    _check_room(folder, old.data + old.data // 16 + new.data + _ROOM)
    options = PrepareOptions(params=params, reread=True)
    with make_store(folder / "origin") as store:
        with FileSource(old.path) as source:
            first = prepare(source, store, options, progress)
        with FileSource(new.path) as source:
            second = prepare(source, store, options, progress)
        progress.start("comparing", new.length)
        whole = show(second.manifest, store)
        origins = _map(first.manifest, second.manifest, store, progress)
        receiver = _Receiver(first.manifest, old.path, store, progress)
        with make_store(folder / "plain") as own:
            plain = receiver.pull(second.manifest, own, folder / "rebuilt", deltas=False)
        with make_store(folder / "delta") as own:
            delta = receiver.pull(second.manifest, own, folder / "rebuilt", deltas=True)
    return Trial(params, first, second, whole, origins, plain, delta)


def recommend(trials: Sequence[Trial]) -> Trial:
    """The trial whose chunk sizes suit the two files.

    Fewer, larger chunks cost less to list, to look up and to remember. So the choice is the largest
    size that moves at most a tenth more bytes than the best one, or at most a thousandth of the
    new file more.
    """
    least = min(trial.best.received for trial in trials)
    bound = least + max(least // _TOLERANCE, trials[0].new.length // _TRIFLE)
    fitting = [trial for trial in trials if trial.best.received <= bound]
    return max(fitting, key=lambda trial: trial.params.avg_size)


def _check_room(folder: Path, need: int) -> None:
    have = free_bytes(folder)
    if have is not None and have < need:
        raise no_space(folder.parent, need, have)


def _map(old: ManifestId, new: ManifestId, store: ObjectStore, progress: Progress) -> OriginMap:
    """The sources of the bytes of `new`, for a receiver that has `old`."""
    before, after = open_outline(old, store), open_outline(new, store)
    read = partial(ProvedReader(store).found, Kind.NODE)
    given = PlanInput(
        contents=lambda: [(0, after.content)],
        fetch=after.nodes,
        read=after.encoded,
        params=after.params,
        trees=[OldTree(0, before.content, before.node, read)],
        target=0,
    )
    found = OriginMap(after.content.length, _CELLS)
    for stretch in plan(given):
        found.add(stretch)
        progress.advance(stretch.length)
    return found


class _Receiver:
    """A receiver that pulled the old file before, and remembers it."""

    def __init__(self, old: ManifestId, path: Path, store: ObjectStore, progress: Progress) -> None:
        self._old = old
        self._path = path
        self._store = store
        self._progress = progress

    def pull(self, new: ManifestId, own: ObjectStore, target: Path, *, deltas: bool) -> Transfer:
        """Pulls `new` to `target`, with `own` as the receiver's store."""
        self._remember(own)
        server = Loopback(self._store, deltas=deltas)
        endpoints = Endpoints(own, True, [own], [server])
        options = PullOptions(seeds=(self._path,), delta="always" if deltas else "never")
        wanted = look_up(Ref(manifest=new), target, endpoints, options)
        assert isinstance(wanted, WantedFile)
        pulled = pull(wanted, endpoints, options, self._progress)
        target.unlink()
        return Transfer(
            chunks=server.received(Kind.CHUNK),
            manifest=server.received(Kind.NODE, Kind.MANIFEST),
            sent=pulled.traffic.sent,
            requests=pulled.traffic.requests,
            seconds=pulled.seconds,
        )

    def _remember(self, own: ObjectStore) -> None:
        """Commits what a pull of the old file leaves in a store; no row for a device."""
        old = fetch(Ref(manifest=self._old), Endpoints(own, True, [self._store], []))
        batch = Batch(
            manifests=[(self._old, ManifestState.OUTLINE, old.manifest.length)],
        )
        row = self._store.recall(bytes(self._path.resolve()))
        if row is not None:
            batch.remember.append(row)
        own.commit(batch)
