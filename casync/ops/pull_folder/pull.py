"""Pulls a folder: every file of it as one line of content, rebuilt like the content of one file.

First nothing is changed: the tree is checked, and the folder compared with it. Then one walk makes
files, a second one what needs them. Each file is the old one or the new one at any time, the folder
is not: the same command completes what was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from casync.access.ports import Ports
from casync.access.progress import Progress
from casync.access.supply import SeedSupply, StoreSupply, Supply
from casync.access.tree_load import Tree
from casync.errors import PartialError, RemoteError, StoppedError, TimedOutError
from casync.fs.filesystem import Coherence, file_system
from casync.fs.lock import lock
from casync.fs.scan import sync_file_system
from casync.fs.scan_cache import ScanCache
from casync.fs.seed import SeedIndex
from casync.fs.settle import settle_name
from casync.fs.source.file import coarse_clock
from casync.ids import ManifestId
from casync.ops.pull.file import PullOptions
from casync.ops.pull.server_supply import ServerSupply
from casync.ops.pull_folder.finish import FolderFinish
from casync.ops.pull_folder.place import FolderPlace
from casync.ops.pull_folder.plan import FolderOptions, FolderPlan, open_target
from casync.ops.pull_folder.seeds import add_named
from casync.ops.pull_folder.write import FolderWriting
from casync.store.base import Traffic

__all__ = ["FolderPulled", "pull_tree", "supplies_of"]


class FolderPulled(NamedTuple):
    """What a pull into a folder did.

    Attributes:
        manifest: The manifest, of the whole.
        files: Files that were written.
        length: Their plain bytes.
        kept: Files that stayed.
        others: Links, devices, pipes and further names that were made.
        removed: What `delete` removed.
        left_out: Devices and pipes that were not made.
        skipped: What could not be had: `owners`, `attributes`, `modes`, `devices`.
        sources: Plain bytes by where they came from.
        traffic: What went over the wire.
        seconds: How long it took.
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
    traffic: Traffic
    seconds: float


def pull_tree(
    tree: Tree,
    target: Path,
    ports: Ports,
    options: PullOptions,
    folder_options: FolderOptions,
    *,
    scan_cache: ScanCache | None,
    progress: Progress,
    clock: Callable[[], int] = coarse_clock,
) -> FolderPulled:
    """Makes the folder at `target` what a tree is.

    Args:
        tree: The tree; loaded.
        target: A folder, or a place for one.
        ports: Stores and servers.
        options: How to get chunks.
        folder_options: How to treat the folder.
        scan_cache: Remembers the files of folders.
        progress: Is told what happens.
        clock: Nanoseconds since 1970 as the file system counts them.

    Raises:
        IntegrityError, UsageError, NoSpaceError, WriteError: As `FolderPlan`; nothing was changed.
        LockedError: Another pull writes to the folder.
        PartialError: Servers could not be asked any more. What was pulled stays.
        NoObjectError: Nobody has a chunk.
        WriteError, NoSpaceError: On the way.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        index = stack.enter_context(closing(SeedIndex()))
        root = stack.enter_context(open_target(target, make=False))
        last = None
        if root is not None:
            lock(root, target)
            if scan_cache is not None:
                sync_file_system(root)  # so that equal times will prove equal bytes
                last = scan_cache.last(target, tree.params)
        if last is not None:
            stack.enter_context(closing(last))
        plan = FolderPlan(
            tree, root, target, folder_options, last=last, index=index, progress=progress
        )
        add_named(index, options.seeds, tree.params, progress)
        if root is None:
            root = stack.enter_context(open_target(target, make=True))
            assert root is not None
            lock(root, target)
        place = stack.enter_context(closing(FolderPlace(root, target, plan, folder_options)))
        progress.start(f"pulling {plan.files} files", plan.length)
        try:
            given = FolderWriting(plan, tree, place).run(
                supplies_of(ports, index, options), options.connections, progress
            )
        except (RemoteError, TimedOutError, StoppedError) as error:
            raise PartialError(
                f"{target} is pulled in part: {error.message}",
                next_step="Run the same command again; only the rest is fetched.",
            ) from error
        progress.start("finishing", None)
        scan_writer = None
        if scan_cache is not None and file_system(target).coherence is not Coherence.NETWORK:
            scan_writer = scan_cache.new(target, tree.params, clock())
            stack.callback(scan_writer.drop)
        FolderFinish(plan, tree, place, delete=folder_options.delete, scan_writer=scan_writer).run()
        place.publish_queue.sync_names()
        settle_name(target)
        if scan_writer is not None:
            scan_writer.keep(tree.id)
    return FolderPulled(
        manifest=tree.id,
        files=plan.files,
        length=plan.length,
        kept=plan.kept,
        others=plan.others,
        removed=plan.extras if folder_options.delete else 0,
        left_out=plan.left_out,
        skipped={what: count for what, count in plan.policy.skipped.items() if count},
        sources={label: count for label, count in given.items() if count},
        traffic=ports.traffic,
        seconds=time.monotonic() - started,
    )


def supplies_of(ports: Ports, index: SeedIndex, options: PullOptions) -> list[Supply]:
    """Where the chunks of a tree come from, the cheapest first."""
    supplies: list[Supply] = [StoreSupply(store) for store in ports.local]
    supplies.append(SeedSupply(index))
    if ports.servers:
        supplies.append(ServerSupply(ports.servers, lambda: index, options.delta))
    return supplies
