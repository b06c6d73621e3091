"""Pulls a manifest of another store into this one, whether it is that of a file or of a folder."""

from __future__ import annotations

from casync.access.endpoints import Endpoints
from casync.access.progress import SILENT, Progress
from casync.ids import ManifestId
from casync.names.name import Ref
from casync.ops.pull.file import Pulled, pull
from casync.ops.pull.wanted import PullOptions, WantedFile
from casync.ops.pull_folder.look_up import WantedTree, look_up
from casync.ops.pull_folder.store_tree import store_tree
from casync.store.base import ObjectStore
from casync.store.server import Server

__all__ = ["pull_into_store"]


def pull_into_store(
    manifest: ManifestId,
    store: ObjectStore,
    server: Server,
    options: PullOptions = PullOptions(),
    progress: Progress = SILENT,
) -> Pulled:
    """Fetches what `store` lacks of a manifest, which keeps its id, and makes it full there.

    Args:
        manifest: The manifest.
        store: The store.
        server: Has the manifest.
        options: How to fetch.
        progress: Receives phases and bytes.

    Raises:
        CasyncError: As `look_up`, `casync.ops.pull.file.pull` and `store_tree`.
    """
    endpoints = Endpoints(store, True, [store], [server])
    wanted = look_up(Ref(manifest=manifest), None, endpoints, options)
    if isinstance(wanted, WantedFile):
        return pull(wanted, endpoints, options, progress)
    assert isinstance(wanted, WantedTree)  # a manifest is not a member of an archive
    return store_tree(wanted.tree, endpoints, options, progress)
