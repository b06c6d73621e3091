"""Pulls a folder: rebuilds the concatenation of its files like the content of one file.

First the tree is checked and compared with the folder, without a change. Then one walk makes files,
and a second one everything that depends on them. At any time each file is either old or new, but
the folder as a whole may be mixed; the same command resumes an interrupted pull.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from casync.access.endpoints import Endpoints
from casync.access.outline import ObjectLoader
from casync.access.progress import Progress
from casync.access.supply import StoreSupply, Supply
from casync.access.tree_load import Tree
from casync.errors import PartialError, RemoteError, StoppedError, TimedOutError
from casync.fs.filesystem import Coherence, file_system
from casync.fs.lock import lock
from casync.fs.scan_cache import NEVER_TOO_YOUNG, CachedScan, ScanCache
from casync.fs.source.file import coarse_clock
from casync.fs.sync import settle_name, sync_file_system
from casync.fs.target.metadata import MetadataPolicy
from casync.fs.target.root import open_target
from casync.ids import ManifestId
from casync.ops.pull.seeds import Seeds
from casync.ops.pull.server_supply import ServerSupply
from casync.ops.pull.wanted import PullOptions
from casync.ops.pull_folder.finish import FolderFinish
from casync.ops.pull_folder.place import FolderPlace
from casync.ops.pull_folder.plan import FolderOptions, FolderPlan
from casync.ops.pull_folder.seeds import add_named
from casync.ops.pull_folder.settled import SettledFolders, SettledWriter
from casync.ops.pull_folder.step_file import StepFile
from casync.ops.pull_folder.write import FolderWriting
from casync.sizes import format_count
from casync.store.base import Traffic

__all__ = ["FolderPulled", "plan_folder", "pull_tree", "supplies_of"]


class FolderPulled(NamedTuple):
    """The result of a pull into a folder.

    Attributes:
        manifest: The manifest that contains the folder.
        files: Written files.
        length: Their plain bytes.
        kept: Files that stayed.
        others: Symbolic links, devices, pipes and hard links that were made.
        removed: Entries that `delete` removed.
        left_out: Devices and pipes that were not made.
        skipped: Number of failures to set `owners`, `attributes` or `modes`, or to make `devices`.
        sources: Plain bytes by source.
        seeds: Of those from seeds, the plain bytes by file, or by folder of which files are seeds.
        traffic: Network traffic.
        seconds: Duration.
    """

    manifest: ManifestId
    files: int
    length: int
    kept: int
    others: int
    removed: int
    left_out: int
    skipped: dict[str, int]
    sources: dict[str, int]
    seeds: dict[Path, int]
    traffic: Traffic
    seconds: float


def pull_tree(
    tree: Tree,
    target: Path,
    endpoints: Endpoints,
    loader: ObjectLoader | None,
    options: PullOptions,
    folder_options: FolderOptions,
    *,
    scan_cache: ScanCache | None,
    progress: Progress,
    clock: Callable[[], int] = coarse_clock,
) -> FolderPulled:
    """Makes the folder at `target` equal to a tree.

    Args:
        tree: The tree.
        target: Path of the folder, which need not exist.
        endpoints: Stores and servers.
        loader: Loads the tree; None if it is loaded.
        options: How to fetch chunks.
        folder_options: How to change the folder.
        scan_cache: Remembers the files of folders.
        progress: Receives phases, bytes and notes.
        clock: The file system's clock, in nanoseconds since 1970.

    Raises:
        IntegrityError, UsageError, NoSpaceError, WriteError: As `FolderPlan`; nothing was changed.
        LockedError: Another pull writes to the folder.
        PartialError: Servers failed during the pull. What was pulled stays.
        NoObjectError: No source has a chunk.
        WriteError, NoSpaceError: Writing failed during the pull.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        seeds = stack.enter_context(closing(Seeds(endpoints.store)))
        root = stack.enter_context(open_target(target, make=False, opens_up=True))
        if root is not None:
            lock(root, target)
            if scan_cache is not None:
                sync_file_system(root)  # afterwards equal times prove equal bytes
        plan, last, settled = plan_folder(
            stack,
            tree,
            root,
            target,
            folder_options,
            loader=loader,
            scan_cache=scan_cache,
            seeds=seeds,
            progress=progress,
            opens_up=True,
            seen_at=clock(),
        )
        add_named(seeds, options.seed_paths, tree.params, endpoints.memory, progress)
        if root is None:
            root = stack.enter_context(open_target(target, make=True))
            assert root is not None
            lock(root, target)
        place = stack.enter_context(closing(FolderPlace(root, target, plan, folder_options)))
        progress.start(f"pulling {format_count(plan.files, 'file')}", plan.length)
        try:
            sources, used = FolderWriting(plan, tree, place).run(
                seeds, supplies_of(endpoints, seeds, options), options.connections, progress
            )
        except (RemoteError, TimedOutError, StoppedError) as error:
            raise PartialError(
                f"{target} is incomplete: {error.message}",
                next_step="Run the same command again; only the rest is fetched.",
            ) from error
        progress.start("finishing", None)
        scan_writer = settled_writer = None
        if scan_cache is not None and file_system(target).coherence is not Coherence.NETWORK:
            settled_writer = SettledWriter(scan_cache, target, tree.params, plan.policy, settled)
            stack.callback(settled_writer.drop)
            if last is None or not plan.is_mostly_settled:
                scan_writer = scan_cache.new(target, tree.params, NEVER_TOO_YOUNG)
                stack.callback(scan_writer.drop)
        FolderFinish(
            plan,
            place,
            delete=folder_options.delete,
            scan_writer=scan_writer,
            settled_writer=None if plan.has_hard_links else settled_writer,
        ).run()
        place.publish_queue.sync_names()
        settle_name(target)
        if scan_writer is not None:
            scan_writer.keep(tree.id)
        if settled_writer is not None:
            settled_writer.keep()
    return FolderPulled(
        manifest=tree.id,
        files=plan.files,
        length=plan.length,
        kept=plan.kept,
        others=plan.others,
        removed=plan.extras if folder_options.delete else 0,
        left_out=plan.left_out,
        skipped={what: count for what, count in plan.policy.skipped.items() if count},
        sources={label: count for label, count in sources.items() if count},
        seeds=used,
        traffic=endpoints.traffic,
        seconds=time.monotonic() - started,
    )


def plan_folder(
    stack: ExitStack,
    tree: Tree,
    root: int | None,
    target: Path,
    folder_options: FolderOptions,
    *,
    loader: ObjectLoader | None,
    scan_cache: ScanCache | None,
    seeds: Seeds,
    progress: Progress,
    opens_up: bool,
    seen_at: int = 0,
) -> tuple[FolderPlan, CachedScan | None, SettledFolders]:
    """The plan of a pull, with what the scan cache knew of the folder and what is settled in it.

    Args:
        stack: Closes what the plan reads from.
        tree: The tree.
        root: Descriptor of the folder; None if it does not exist yet.
        target: Its path.
        folder_options: How to change it.
        loader: Loads the tree; None if it is loaded.
        scan_cache: Remembers the files of folders.
        seeds: Receives the old files of the folder.
        progress: Receives phases and bytes.
        opens_up: As for `FolderPlan`.
        seen_at: As for `Survey`.

    Raises:
        CasyncError: As `FolderPlan`.
    """
    policy = MetadataPolicy(exact=folder_options.exact)
    last, settled = None, SettledFolders(None, policy)
    if scan_cache is not None and root is not None:
        last = scan_cache.last(target, tree.params)
        settled = SettledFolders.of(scan_cache, target, tree.params, policy)
        settled.check(root)
    if last is not None:
        stack.enter_context(closing(last))
    plan = FolderPlan(
        tree,
        stack.enter_context(closing(StepFile())),
        root,
        target,
        folder_options,
        policy,
        loader=loader,
        last=last,
        settled=settled,
        seeds=seeds,
        progress=progress,
        opens_up=opens_up,
        seen_at=seen_at,
    )
    return plan, last, settled


def supplies_of(endpoints: Endpoints, seeds: Seeds, options: PullOptions) -> list[Supply]:
    """The sources of the chunks of a tree that no seed has, the cheapest first."""
    supplies: list[Supply] = [StoreSupply(store) for store in endpoints.local]
    if endpoints.servers:
        supplies.append(ServerSupply(endpoints.servers, seeds, options.delta))
    return supplies
