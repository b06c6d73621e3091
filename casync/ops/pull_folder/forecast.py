"""Forecasts a pull into a folder, with the same plan and without a change."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

from casync.access.endpoints import Endpoints
from casync.access.outline import ObjectLoader
from casync.access.progress import Progress
from casync.access.tree_load import Tree
from casync.fs.scan_cache import ScanCache
from casync.fs.target.root import open_target
from casync.ids import ManifestId
from casync.ops.pull.forecast import PlanTotals
from casync.ops.pull.seeds import Seeds
from casync.ops.pull.wanted import PullOptions
from casync.ops.pull_folder.plan import FolderOptions
from casync.ops.pull_folder.pull import plan_folder, supplies_of
from casync.ops.pull_folder.seeds import add_named, tree_portions
from casync.ops.pull_folder.write import PART_CHUNKS

__all__ = ["FolderForecast", "forecast_folder"]


class FolderForecast(NamedTuple):
    """The forecast of a pull into a folder.

    Attributes:
        manifest: The manifest that contains the folder.
        files: Files to write.
        length: Their plain bytes.
        kept: Files that stay.
        others: Symbolic links, devices, pipes and hard links to make.
        remove: Entries that `delete` would remove.
        left_out: Devices and pipes that would not be made.
        sources: Plain bytes by source.
        objects: Chunks to fetch.
        fetch: Bytes to fetch, as they travel, without deltas.
        received: Bytes received for this forecast: everything of the tree but the chunks of files.
        missing: Plain bytes that no source has.
    """

    manifest: ManifestId
    files: int
    length: int
    kept: int
    others: int
    remove: int
    left_out: int
    sources: dict[str, int]
    objects: int
    fetch: int
    received: int
    missing: int


def forecast_folder(
    tree: Tree,
    target: Path,
    endpoints: Endpoints,
    loader: ObjectLoader | None,
    options: PullOptions,
    folder_options: FolderOptions,
    *,
    scan_cache: ScanCache | None,
    progress: Progress,
) -> FolderForecast:
    """Computes what `pull_tree` with the same arguments would do.

    Raises:
        CasyncError: As `pull_tree`.
    """
    with ExitStack() as stack:
        root = stack.enter_context(open_target(target, make=False))
        seeds = stack.enter_context(closing(Seeds(endpoints.store)))
        plan, _, _ = plan_folder(
            stack,
            tree,
            root,
            target,
            folder_options,
            loader=loader,
            scan_cache=scan_cache,
            seeds=seeds,
            progress=progress,
            opens_up=False,
        )
        add_named(seeds, options.seed_paths, tree.params, endpoints.memory, progress)
        totals = PlanTotals(endpoints.traffic.received)
        cut = tree_portions(tree, plan.contents(), seeds, part_chunks=PART_CHUNKS)
        totals.count(cut, plan.length, supplies_of(endpoints, seeds, options))
    return FolderForecast(
        manifest=tree.id,
        files=plan.files,
        length=plan.length,
        kept=plan.kept,
        others=plan.others,
        remove=plan.extras if folder_options.delete else 0,
        left_out=plan.left_out,
        sources={label: count for label, count in totals.sources.items() if count},
        objects=totals.objects,
        fetch=totals.fetch,
        received=totals.received,
        missing=totals.missing,
    )
