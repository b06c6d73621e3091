"""Pulls a whole tree into the store, from where it can be served."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from casync.access.endpoints import Endpoints
from casync.access.keeper import Keeper
from casync.access.progress import Progress
from casync.access.tree_load import Tree
from casync.errors import UsageError
from casync.objects.node import Content
from casync.ops.pull.file import Pulled
from casync.ops.pull.rebuild import Rebuilder
from casync.ops.pull.seeds import Seeds
from casync.ops.pull.wanted import PullOptions
from casync.ops.pull.work import Nowhere, Work
from casync.ops.pull_folder.pull import supplies_of
from casync.ops.pull_folder.seeds import add_named, tree_portions
from casync.ops.pull_folder.tree_shape import shape_of
from casync.store.base import Batch, ManifestState

__all__ = ["store_tree"]


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
    with closing(Seeds(endpoints.store)) as seeds:
        add_named(seeds, options.seed_paths, tree.params, endpoints.memory, progress)
        work = Work(
            portions=tree_portions(tree, _end_to_end(tree), seeds, repeats=False),
            length=length,
            hole=tree.params.max_size,
            part=lambda *_: "",  # the offsets are of no file
            read_seed=seeds.read,
            supplies=supplies_of(endpoints, seeds, options),
            keeper=Keeper(endpoints.store),
        )
        progress.start("pulling", length)
        rebuilder = Rebuilder(work, Nowhere(), workers=options.connections, progress=progress)
        given = rebuilder.run()
        used = seeds.paths(rebuilder.used)
    row = (tree.id, ManifestState.FULL, tree.manifest.length)
    endpoints.store.commit(Batch(manifests=[row]))
    return Pulled(
        manifest=tree.id,
        length=length,
        outcome="stored",
        sources={label: count for label, count in given.items() if count},
        seeds=used,
        traffic=endpoints.traffic,
        seconds=time.monotonic() - started,
    )


def _end_to_end(tree: Tree) -> Iterator[tuple[int, Content]]:
    """The distinct contents of the files of a tree."""
    offset = 0
    for content in tree.distinct_contents():
        yield offset, content
        offset += content.length
