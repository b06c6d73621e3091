"""The API for scripts and the command line: connects stores, files and servers to operations."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from casync.access.content_file import ContentFile
from casync.access.endpoints import Endpoints
from casync.access.locate import fetch, open_file
from casync.access.outline import Outline
from casync.access.progress import SILENT, Progress
from casync.access.tree_load import Tree
from casync.errors import UsageError
from casync.fs.exclude import Exclusion
from casync.fs.paths import StrPath, as_path
from casync.fs.scan import Scan
from casync.fs.scan_cache import ScanCache
from casync.fs.scratch import scratch_folder
from casync.fs.source.file import open_source
from casync.names.name import Ref, parse_ref
from casync.objects.chunker import ChunkerParams
from casync.ops import bench as _bench
from casync.ops.bench import BenchInput, Trial
from casync.ops.inspect.check import Checked, check_file, check_folder
from casync.ops.inspect.diff import Change, changes, differing_ranges
from casync.ops.prepare import file as _prepare
from casync.ops.prepare import folder as _prepare_tree
from casync.ops.prepare.file import PrepareOptions
from casync.ops.prepare.prepared import FolderPrepared, Prepared
from casync.ops.pull import file as _pull
from casync.ops.pull import forecast as _forecast
from casync.ops.pull.file import Pulled
from casync.ops.pull.forecast import Forecast
from casync.ops.pull.member import MemberToPull, forecast_member, pull_member
from casync.ops.pull.wanted import PullOptions, WantedFile
from casync.ops.pull_folder.forecast import FolderForecast, forecast_folder
from casync.ops.pull_folder.look_up import look_up
from casync.ops.pull_folder.plan import FolderOptions
from casync.ops.pull_folder.pull import FolderPulled, pull_tree
from casync.ops.pull_folder.store_tree import store_tree
from casync.ops.push import push as _push
from casync.ops.push.push import Pushed, PushOptions
from casync.ops.upkeep import repair as _repair
from casync.ops.upkeep.repair import Repaired
from casync.remote.server.client import RemoteClient
from casync.remote.server.transport_options import TransportOptions
from casync.remote.server.write_client import WritingClient
from casync.remote.site.server_at import ServerAt, servers_at, telling_sites
from casync.store.base import ManifestSource
from casync.store.lmdb.store import LmdbStore
from casync.store.memory import MemoryStore

__all__ = [
    "bench",
    "check",
    "diff",
    "forecast",
    "open_ref",
    "prepare",
    "prepare_tree",
    "pull",
    "push",
    "repair",
]


def prepare(
    source: StrPath | BinaryIO,
    store: LmdbStore,
    options: PrepareOptions = PrepareOptions(),
    progress: Progress = SILENT,
) -> Prepared:
    """Cuts a file, a block device or a stream into chunks and puts them into `store`.

    Args:
        source: A path, or an open binary stream.
        store: The store.
        options: How to prepare.
        progress: Advances by every byte.

    Raises:
        CasyncError: As `casync.ops.prepare.file.prepare`.
    """
    with open_source(source) as opened:
        return _prepare.prepare(opened, store, options, progress)


def prepare_tree(
    root: StrPath,
    store: LmdbStore,
    options: PrepareOptions = PrepareOptions(),
    *,
    exclude: Sequence[str] = (),
    exclude_regex: Sequence[str] = (),
    one_file_system: bool = False,
    progress: Progress = SILENT,
) -> FolderPrepared:
    """Puts a folder into `store`: its files, links and folders with their metadata.

    Args:
        root: The folder.
        store: The store. It is left out if it lies in the folder.
        options: How to prepare.
        exclude: Patterns of what to leave out, in the syntax of .gitignore.
        exclude_regex: Regular expressions on paths below the folder, with the same effect.
        one_file_system: Treat folders on other file systems as empty.
        progress: Advances by every byte.

    Raises:
        CasyncError: As `casync.ops.prepare.folder.prepare_tree`.
    """
    root = as_path(root)
    own = store.path.stat()
    scan = Scan(
        root,
        excluded=Exclusion(exclude, exclude_regex),
        one_file_system=one_file_system,
        avoid=frozenset([(own.st_dev, own.st_ino)]),
    )
    scan_cache = ScanCache(store.path / "folders")
    return _prepare_tree.prepare_tree(
        root, scan, store, options, scan_cache=scan_cache, progress=progress
    )


def pull(
    ref: str | Ref,
    target: StrPath | BinaryIO | None = None,
    *,
    store: LmdbStore | None = None,
    servers: Sequence[str] = (),
    transport: TransportOptions = TransportOptions(),
    options: PullOptions = PullOptions(),
    folder_options: FolderOptions = FolderOptions(),
    progress: Progress = SILENT,
) -> Pulled | FolderPulled:
    """Rebuilds the content of `ref` at `target`, or in `store` without a target.

    Args:
        ref: A hash or a name, optionally with a path inside; the first server resolves names.
        target: A path, a stream, or None. The target of a folder is a folder.
        store: A source of chunks, which remembers the result as a seed, and caches chunks if
            `options.cache` is set.
        servers: URLs of servers.
        transport: Options of the connections.
        options: How to pull.
        folder_options: How to change a folder at `target`.
        progress: Receives phases, bytes and notes.

    Raises:
        CasyncError: As `look_up`, `casync.ops.pull.file.pull`, `store_tree` and `pull_tree`.
    """
    with _endpoints(store, servers, transport) as endpoints:
        wanted = look_up(_ref(ref), _place(target), endpoints, options, folder_options, progress)
        if isinstance(wanted, WantedFile):
            return _pull.pull(wanted, endpoints, options, progress)
        if isinstance(wanted, MemberToPull):
            return pull_member(wanted, endpoints, options, progress)
        tree, folder, loader = wanted
        if folder is None or options.cache:
            stored = store_tree(tree, endpoints, options, progress)
            if folder is None:
                return stored
        return pull_tree(
            tree,
            folder,
            endpoints,
            loader,
            options,
            folder_options,
            scan_cache=_scan_cache(store, endpoints),
            progress=progress,
        )


def forecast(
    ref: str | Ref,
    target: StrPath | BinaryIO | None = None,
    *,
    store: LmdbStore | None = None,
    servers: Sequence[str] = (),
    transport: TransportOptions = TransportOptions(),
    options: PullOptions = PullOptions(),
    folder_options: FolderOptions = FolderOptions(),
    progress: Progress = SILENT,
) -> Forecast | FolderForecast:
    """Computes what `pull` with the same arguments would fetch, to the byte without deltas.

    Raises:
        CasyncError: As `pull`; UsageError for a folder without a target.
    """
    with _endpoints(store, servers, transport) as endpoints:
        wanted = look_up(_ref(ref), _place(target), endpoints, options, folder_options, progress)
        if isinstance(wanted, WantedFile):
            return _forecast.forecast(wanted, endpoints, options, progress)
        if isinstance(wanted, MemberToPull):
            return forecast_member(wanted, endpoints, options)
        tree, folder, loader = wanted
        if folder is None:
            raise UsageError(
                "a plan for a folder needs a target folder", next_step="Give it with -o DIR."
            )
        return forecast_folder(
            tree,
            folder,
            endpoints,
            loader,
            options,
            folder_options,
            scan_cache=_scan_cache(store, endpoints),
            progress=progress,
        )


def _place(target: StrPath | BinaryIO | None) -> Path | BinaryIO | None:
    return as_path(target) if isinstance(target, str | os.PathLike) else target


def _scan_cache(store: LmdbStore | None, endpoints: Endpoints) -> ScanCache | None:
    return ScanCache(store.path / "folders") if store is not None and endpoints.lasting else None


def repair(
    store: LmdbStore,
    refs: Sequence[str | Ref] = (),
    *,
    servers: Sequence[str],
    transport: TransportOptions = TransportOptions(),
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> Repaired:
    """Fetches damaged and missing objects of `store` from servers, and stores them again.

    Args:
        store: The store to repair.
        refs: Refs of the store, to repair only what these need; without any, everything.
        servers: URLs of servers.
        transport: Options of the connections.
        dry_run: Only ask which server has what.
        progress: Receives phases and bytes.

    Raises:
        CasyncError: As `casync.ops.upkeep.repair.repair`.
    """
    store.check()  # a damaged tree is found by plain reads, before it is walked through the map
    chosen = [store.resolve(_ref(ref)) for ref in refs] or None
    with _endpoints(store, servers, transport) as endpoints:
        return _repair.repair(store, endpoints.servers, chosen, dry_run=dry_run, progress=progress)


def check(
    ref: str | Ref,
    place: StrPath,
    source: ManifestSource,
    tell: Callable[[bytes, list[str]], None],
    progress: Progress = SILENT,
) -> Checked:
    """Compares a file or folder on disk with the content of `ref`.

    Args:
        ref: A manifest of `source`, optionally with a path inside.
        place: Path of the file or folder.
        source: A store, or a `RemoteClient` or `ServerAt`.
        tell: Called with each path that differs, and what differs.
        progress: Advances by bytes that are right.

    Raises:
        UsageError: One is a file, the other a folder.
        CasyncError: As `casync.ops.inspect.check.check_file` and `check_folder`.
    """
    found, place = _look(_ref(ref), source), as_path(place)
    is_folder = os.path.isdir(place)
    if isinstance(found, Tree) != is_folder and os.path.exists(place):
        here, there = ("folder", "file") if is_folder else ("file", "folder")
        raise UsageError(f"{ref} is a {there}, but {place} is a {here}")
    if isinstance(found, Tree):
        return check_folder(found, place, tell, progress)
    return check_file(found, place, tell, progress)


def diff(
    old: str | Ref, new: str | Ref, source: ManifestSource
) -> Iterator[Change] | Iterator[tuple[int, int]]:
    """The differences of two refs of `source`: changes of folders, or ranges of files.

    Raises:
        UsageError: One is a file, the other a folder.
        CasyncError: As `casync.ops.inspect.diff.changes` and `differing_ranges`.
    """
    one, two = _look(_ref(old), source), _look(_ref(new), source)
    if isinstance(one, Tree) and isinstance(two, Tree):
        return changes(one, two)
    if isinstance(one, Outline) and isinstance(two, Outline):
        return differing_ranges(one, two)
    raise UsageError(f"{old} and {new} are not both files, nor both folders")


def _look(ref: Ref, source: ManifestSource) -> Outline | Tree:
    """What a ref leads to; a tree with all its structure, which is in memory then."""
    if isinstance(source, RemoteClient | ServerAt):
        return fetch(ref, Endpoints(MemoryStore(), False, [], [source]))
    assert isinstance(source, LmdbStore)
    return fetch(ref, Endpoints(MemoryStore(), False, [source], []))


def bench(
    old: BenchInput,
    new: BenchInput,
    params: ChunkerParams,
    folder: StrPath,
    progress: Progress = SILENT,
) -> Trial:
    """Measures what a transfer from `old` to `new` costs with one choice of chunk sizes.

    Args:
        old: The file that the receiver has, from `casync.ops.bench.look`.
        new: The file that it wants.
        params: Chunk sizes.
        folder: A temporary folder is created in here for all files, and removed at the end.
        progress: Receives phases and bytes.

    Raises:
        CasyncError: As `casync.ops.bench.measure`.
    """
    with scratch_folder("bench", as_path(folder)) as place:
        return _bench.measure(old, new, params, place, _bench_store, progress)


def _bench_store(path: Path) -> LmdbStore:
    # No other process opens it, so it needs no locks that work between machines.
    return LmdbStore.open(path, create=True, allow_network_fs=True)


def open_ref(ref: str | Ref, source: ManifestSource) -> io.BufferedReader:
    """The content of `ref` as a seekable binary file. Every chunk is proved before it is returned.

    Args:
        ref: A manifest of `source`, a file in its tree, or a member of an archive.
        source: A store, or a `RemoteClient` or `ServerAt`.

    Raises:
        NotFoundError: There is no such name, or nothing at the path.
        UsageError: It is not a file.
        IntegrityError: An object is damaged. Reads raise this, too.
    """
    content = open_file(_ref(ref), source)
    return io.BufferedReader(ContentFile(content), buffer_size=1 << 20)


def _ref(ref: str | Ref) -> Ref:
    return parse_ref(ref) if isinstance(ref, str) else ref


def push(
    ref: str | Ref,
    server: str,
    *,
    store: LmdbStore,
    transport: TransportOptions = TransportOptions(),
    options: PushOptions = PushOptions(),
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> Pushed:
    """Sends a server the objects of `ref` that it lacks, and publishes the manifest there.

    Args:
        ref: A hash or a name of `store`.
        server: URL of the server.
        store: The store that has everything.
        transport: Options of the connection.
        options: How to push.
        dry_run: Only compute what would be sent.
        progress: Receives phases and bytes.

    Raises:
        CasyncError: As `casync.ops.push.push.push`.
    """
    act = _push.plan_push if dry_run else _push.push
    with telling_sites(server, transport), WritingClient(server, transport) as target:
        return act(_ref(ref), store, target, options, progress)


@contextmanager
def _endpoints(
    store: LmdbStore | None, servers: Sequence[str], transport: TransportOptions
) -> Iterator[Endpoints]:
    """The endpoints of one pull. A read-only store is still a source of objects."""
    lasting = store is not None and store.writable
    with ExitStack() as stack:
        clients = servers_at(servers, transport, stack)
        nodes = store if store is not None and lasting else MemoryStore()
        yield Endpoints(nodes, lasting, [] if store is None else [store], clients)
