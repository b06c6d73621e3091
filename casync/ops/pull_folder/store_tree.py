"""Pulls a whole tree into the store, from where it can be served."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from casync.access.endpoints import Endpoints
from casync.access.keeper import Keeper
from casync.access.progress import Progress
from casync.access.supply import sources_of
from casync.access.tree_load import Tree
from casync.errors import UsageError
from casync.fs.seed import SeedIndex
from casync.objects.chunker import ChunkerParams
from casync.objects.node import Run, distinct
from casync.ops.pull.file import Pulled, PullOptions
from casync.ops.pull.rebuild import Nowhere, Rebuilder
from casync.ops.pull_folder.pull import supplies_of
from casync.ops.pull_folder.seeds import add_named
from casync.ops.pull_folder.tree_shape import shape_of
from casync.planning.windows import Window, tile
from casync.store.base import Batch, ManifestState

__all__ = ["store_tree"]


class _Contents:
    """The distinct contents of the files of a tree, concatenated."""

    def __init__(self, tree: Tree, length: int) -> None:
        self._tree = tree
        self.length = length

    @property
    def params(self) -> ChunkerParams:
        return self._tree.params

    def part(self, offset: int, length: int) -> str:
        return ""  # the offsets are of no file

    def windows(self, *, distinct: bool) -> Iterator[Window]:
        return tile(self._runs(), self.params.max_size)

    def _runs(self) -> Iterator[tuple[int, Run]]:
        offset = 0
        for content in self._tree.distinct_contents():
            for run in distinct(content, self._tree.node):
                yield offset, run
                offset += run.length


def store_tree(
    tree: Tree, endpoints: Endpoints, options: PullOptions, progress: Progress
) -> Pulled:
    """Fetches all chunks of a loaded tree into the store, and makes its manifest full.

    Raises:
        UsageError: It is only a part of a tree, or there is no writable store.
        CasyncError: As `casync.ops.pull.file.pull`.
    """
    started = time.monotonic()
    if not endpoints.lasting:
        raise UsageError("there is no writable store to pull into", next_step="Give -o OUT.")
    if not tree.is_whole:
        raise UsageError(
            "only a whole tree can be pulled into the store, not a folder inside it",
            next_step="Leave out the path, or give -o DIR.",
        )
    length = shape_of(tree).length
    with closing(SeedIndex()) as index:
        add_named(index, options.seed_paths, tree.params, progress)
        progress.start("pulling", length)
        supplies = supplies_of(endpoints, index, options)
        given = Rebuilder(
            _Contents(tree, length),
            Nowhere(),
            supplies,
            keeper=Keeper(endpoints.store),
            workers=options.connections,
            kept_label="",
            progress=progress,
        ).run()
    row = (tree.id, ManifestState.FULL, tree.manifest.length)
    endpoints.store.commit(Batch(manifests=[row]))
    sources, seeds = sources_of(given, supplies)
    return Pulled(
        manifest=tree.id,
        length=length,
        outcome="stored",
        sources=sources,
        seeds=seeds,
        traffic=endpoints.traffic,
        seconds=time.monotonic() - started,
    )
